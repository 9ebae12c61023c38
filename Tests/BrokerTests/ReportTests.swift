import Testing

@testable import Broker

@Suite struct ReportTests {
    @Test func everyPeerHasItsTurn() {
        var turns = Turns(size: 3)
        #expect((0..<4).map { _ in turns.take(of: 7) } == [0..<3, 3..<6, 6..<7, 0..<3])
        // One more came meanwhile.
        #expect((0..<3).map { _ in turns.take(of: 8) } == [3..<6, 6..<8, 0..<3])
    }

    @Test func fewPeersAreAllNamedEachTime() {
        var turns = Turns(size: 3)
        #expect([0, 2, 3, 3].map { turns.take(of: $0) } == [0..<0, 0..<2, 0..<3, 0..<3])
    }
}

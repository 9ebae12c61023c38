import Exchange
import Foundation
import Testing
import Trust
import Wire

@testable import Broker
@testable import Monitoring

/// What a broker shows of itself.
@Suite(.timeLimit(.minutes(2))) struct BoardTests {
    @Test func nothingIsKeptOfJobsThatAreOver() {
        var random = SystemRandomNumberGenerator()
        var board = BrokerBoard(StatusBoard(), name: "broker")
        let ends: [(JobKey) -> JournalEntry] = [
            { .finished($0, header: [], sealed: [], keptUntil: 0) }, { .ended($0, code: .cancelled) },
            { .ended($0, code: .deadLetter) },
            // Its result came from another broker.
            { .acknowledged($0) },
        ]
        for end in ends {
            let key = JobKey(client: ClientID.random(using: &random), job: JobID.random(using: &random))
            board.observe(.accepted(key, envelope: [], sealed: []), at: 1)
            board.observe(.attempted(key, attempt: 1, epoch: 1), at: 2)
            #expect(board.accepted.count == 1)
            board.observe(end(key), at: 3)
            #expect(board.accepted.isEmpty)
        }
    }

    /// Whoever routes by readiness sends it nothing more.
    @Test func aBrokerThatDrainsIsNotReadyAndSaysWhy() async throws {
        let world = try World()
        let client = try world.node(.client, "a")
        let board = StatusBoard()
        let (drains, drain) = AsyncStream.makeStream(of: Void.self)
        let broker = try await RunningBroker(world, board: board, drains: drains)
        let owner = try StubClient(world, client, brokers: [broker.clients])
        // What nobody does keeps it from ending.
        let job = try owner.submit([1])
        #expect(try await owner.waitForAccepted())
        func wait(for obstacle: String?) async throws {
            for _ in 0..<4000 where board.obstacle != obstacle { try await Task.sleep(for: .milliseconds(5)) }
            #expect(board.obstacle == obstacle && board.hang == nil)
        }
        try await wait(for: nil)
        drain.yield()
        try await wait(for: "draining: new jobs are refused")
        owner.send(.cancel(job))
        try await broker.end.get()
        #expect(board.obstacle == "the broker is going down")
        try await owner.stop()
    }
}

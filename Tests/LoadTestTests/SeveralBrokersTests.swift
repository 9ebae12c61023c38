import Exchange
import Foundation
import Testing
import Topology

@testable import LoadTest

/// Two brokers that share nothing, workers that serve both, and clients that go on at the other when one is gone.
@Suite(.serialized) struct SeveralBrokersTests {
    private static func scene() async throws -> LoadScene {
        var core = BrokerConfiguration()
        core.heartbeat = 200 * .millisecond
        return try await LoadScene(clients: 12, brokers: 2, core: core)
    }

    private static var link: LinkConfiguration {
        var link = LinkConfiguration()
        link.answerTime = .second
        return link
    }

    private static let plan = LoadPlan(
        stages: [.init(duration: .seconds(3), from: 60, to: 60)],
        tenants: [.init(name: "steady", clients: 12, publish: 0.3)])

    private static func check(_ report: Report) {
        let counts = report.counts
        #expect(counts.offered > 100 && counts.done + counts.late == counts.offered, "\(report.text)")
        #expect(counts.lost + counts.wrong + counts.refused + counts.ended + counts.unanswered == 0, "\(report.text)")
        #expect(report.tally.duplicates == 0)
    }

    /// As by SIGKILL, and what it had in memory with it.
    @Test func nothingIsLostWithABroker() async throws {
        let scene = try await Self.scene()
        async let report = scene.load(Self.plan, link: Self.link)
        try await Task.sleep(for: .seconds(1))
        scene.services[0].end.cancel()
        try await Self.check(report)
        #expect(try await report.tally.sessionsLost > 0)
    }

    /// It takes no more jobs, finishes those that it has, and ends by itself; nobody does anything twice.
    @Test func aDrainedBrokerEndsAndItsClientsGoOnElsewhere() async throws {
        let scene = try await Self.scene()
        async let report = scene.load(Self.plan, link: Self.link)
        try await Task.sleep(for: .seconds(1))
        scene.services[0].drain.yield()
        try await scene.services[0].end.value
        try await Self.check(report)
        let tally = try await report.tally
        // It may have had nothing under way at that moment, and gone before anybody asked it for more.
        #expect(tally.sessionsLost > 0 && tally.redelivered == 0, "\(tally.rejects)")
    }
}

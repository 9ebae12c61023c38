import Foundation
import Testing
import Wire

@testable import BrokerBench

struct BrokerBenchTests {
    private func settings(_ rows: [BrokerBench.Row]) throws -> BrokerBench.Settings {
        let bundle = try #require(CommandLine.arguments.first { $0.hasSuffix(".xctest") }, "the test bundle's path")
        var settings = BrokerBench.Settings(
            binary: URL(filePath: bundle).deletingLastPathComponent().appending(path: "collafuse"))
        settings.makeQuick()
        settings.rows = rows
        return settings
    }

    @Test("every row is measured, through real processes")
    func figures() async throws {
        let report = try await BrokerBench(
            settings([.memory, .durable, .durableLatency, .idle, .crowd, .recovery, .scaling])
        ) { _ in }.run()
        #expect(
            report.figures.map(\.name) == [
                "zmq_proxy 48 KiB memory", "zmq_proxy 48 KiB durable", "p99 at half load durable",
                "idle client memory", "crowd memory", "p50 beside idle clients", "p99 beside idle clients",
                "recovery of 100,000 jobs", "stub workers 1", "stub workers 2",
            ])
        for figure in report.figures {
            // So few clients may fit into what the broker has already.
            #expect(figure.ours > 0 || figure.name == "crowd memory", "\(figure.name)")
            #expect(figure.ours.isFinite, "\(figure.name)")
            #expect(figure.seen.isFinite && figure.theirs.map { $0 > 0 } ?? true, "\(figure.name)")
        }
        // With one round the ratio is that of the two rates.
        #expect(report.figures[0].ratio == report.figures[0].theirs.map { report.figures[0].ours / $0 })
        let fields = try JSONSerialization.jsonObject(with: report.json) as? [String: Any]
        let figures = try #require(fields?["figures"] as? [[String: Any]])
        #expect(Set(figures[0].keys).isSuperset(of: ["name", "ours", "theirs", "unit", "ratio"]))
    }

    @Test func aPeerThatIsNotThereIsNamedAndLeftOut() async throws {
        var settings = try settings([.redis])
        let script = FileManager.default.temporaryDirectory.appending(path: "peer-\(UUID().uuidString).sh")
        try Data("#!/bin/sh\necho install it first; exit 1\n".utf8).write(to: script)
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: script.path)
        defer { try? FileManager.default.removeItem(at: script) }
        settings.peers = script
        let report = try await BrokerBench(settings) { _ in }.run()
        #expect(report.figures.isEmpty && report.left == ["redis is left out: install it first"])
    }

    @Test func aGoalIsReachedFromItsOwnSide() {
        func verdict(_ seen: Double, isCost: Bool) -> String? {
            BrokerFigures.Figure(
                "", ours: 1, unit: "", seen: seen, must: isCost ? 2 : 0.5, aim: 1, isCost: isCost
            ).verdict
        }
        #expect([0.4, 0.5, 1].map { verdict($0, isCost: false) } == ["missed", "must", "aim"])
        #expect([0.9, 2, 2.1].map { verdict($0, isCost: true) } == ["aim", "must", "missed"])
    }

    @Test func aStampKnowsItsJobsByNumber() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "bench-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let keys = try BenchKeys(in: folder, clients: 1, workers: 0)
        let stamp = try JobStamp(keys.client(0), Array(1...8), keys.envelope)
        let made = stamp.envelope(70_000)
        let envelope = try Envelope(bytes: made)
        #expect(stamp.number(in: made) == 70_000 && stamp.number(id: envelope.job.bytes) == 70_000)
        #expect(stamp.number(id: [UInt8](repeating: 0, count: 16)) == nil)
    }
}

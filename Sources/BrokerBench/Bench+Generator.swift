internal import Chain
internal import Foundation
internal import Launch
internal import LoadTest
internal import Trust

extension Bench {
    private struct Report: Decodable {
        struct Rate: Decodable {
            let achieved: Double

            enum CodingKeys: String, CodingKey { case achieved = "achieved_share" }
        }
        struct Times: Decodable {
            struct Lag: Decodable { let p99: Double }
            let lag: Lag
        }
        let rate: Rate
        let milliseconds: Times
    }

    /// `collafuse loadtest` with a core to itself; the broker and four stub workers have another, where there is one.
    /// More clients than the machine can serve end with a load test that fails: that is said, and what else was measured stays.
    func generator() async throws -> (figures: [BrokerFigures.Figure], left: [String]) {
        var figures: [BrokerFigures.Figure] = []
        var left: [String] = []
        for count in settings.generatorClients {
            let seen: Report
            do { seen = try await generate(clients: count) } catch let fault as BenchFault {
                left.append("load generator \(count): \(fault.firstLine)")
                continue
            }
            let lag = seen.milliseconds.lag.p99, isMost = count > 1_000
            say("load generator, \(count) clients: lag p99 \(lag.rounded(to: 3)) ms")
            figures.append(
                BrokerFigures.Figure(
                    "load generator \(count)", ours: lag, unit: "ms", seen: lag, must: isMost ? nil : 1,
                    aim: isMost ? 0.3 : nil, isCost: true,
                    note: "p99 of its own lag, \(count) clients of 1 job/s on one core; "
                        + "\((seen.rate.achieved * 100).rounded(to: 1)) % done in time"))
        }
        return (figures, left)
    }

    private func generate(clients: Int) async throws -> Report {
        let scene = folder.appending(path: "generator-\(clients)")
        try LoadKeys.make(
            .init(clients: clients, workers: 4, image: .init(channels: 3, height: 32, width: 32)), in: scene,
            now: UnixTime(Date().timeIntervalSince1970 * 1000))
        let other = ProcessInfo.processInfo.activeProcessorCount > 1 ? 1 : 0
        let server = try await Server.broker(settings, .memory, in: scene, core: other)
        let companions = Companions()
        defer {
            companions.stop()
            server.stop()
        }
        companions.start(
            .init(
                name: "workers", executable: Server.taskset,
                arguments: [
                    "--cpu-list", "\(other)", settings.binary.path, "worker", "--engine", "stub:5ms", "--workers", "4",
                    "--deployment", scene.appending(path: "public").path, "--kit",
                    scene.appending(path: "nodes/worker").path, "--broker", server.workers,
                ], log: scene.appending(path: "workers.log")))
        let file = scene.appending(path: "report.json")
        let run = try await Program.run(
            Server.taskset,
            [
                "--cpu-list", "0", settings.binary.path, "loadtest", "--keys", scene.path, "--broker", server.clients,
                "--clients", "\(clients)", "--stage", "\(settings.generatorSeconds)s@\(clients)", "--json", file.path,
            ])
        guard run.status == 0 else { throw BenchFault("the load test fails: \(run.output)") }
        return try JSONDecoder().decode(Report.self, from: Data(contentsOf: file))
    }
}

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
            struct Lag: Decodable {
                let p50: Double
                let p99: Double
            }
            let lag: Lag
        }
        struct Generator: Decodable {
            let cpu: Double
            let seconds: Double

            enum CodingKeys: String, CodingKey { case seconds, cpu = "cpu_seconds" }
        }
        let rate: Rate
        let milliseconds: Times
        let generator: Generator
    }

    /// `collafuse loadtest` with a core to itself; the broker and four stub workers have another, where there is one.
    /// More clients than the machine can serve end with a load test that fails: that is said, and what else was measured stays.
    func generator() async throws -> (figures: [BrokerFigures.Figure], left: [String]) {
        var figures: [BrokerFigures.Figure] = []
        var left: [String] = []
        for count in settings.generatorClients {
            let seen: Report, busy: Double
            do { (seen, busy) = try await generate(clients: count) } catch let fault as BenchFault {
                left.append("load generator \(count): \(fault.firstLine)")
                continue
            }
            let lag = seen.milliseconds.lag.p99, isMost = count > 1_000
            func percent(_ share: Double) -> String { "\((share * 100).rounded(to: 1)) %" }
            let note =
                "p99 of its own lag, p50 \(seen.milliseconds.lag.p50.rounded(to: 3)) ms, \(count) clients of 1 job/s on one core, of "
                + "3×32×32 images, a fifth published (12 KiB up), the others sampled (12 KiB down); \(percent(seen.rate.achieved)) "
                + "done in time; its core \(percent(seen.generator.cpu / seen.generator.seconds)) busy with it, that of broker and "
                + "stub workers \(percent(busy / seen.generator.seconds))"
            say("load generator, \(count) clients: lag p99 \(lag.rounded(to: 3)) ms; \(note)")
            figures.append(
                BrokerFigures.Figure(
                    "load generator \(count)", ours: lag, unit: "ms", seen: lag, must: isMost ? nil : 1,
                    aim: isMost ? 0.3 : nil, isCost: true, note: note))
        }
        return (figures, left)
    }

    /// - Returns: its report, and what time the processes on the other core used meanwhile, in seconds.
    private func generate(clients: Int) async throws -> (Report, Double) {
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
        func used() throws -> Double {
            try server.processorTime + (companions.process("workers").map(Server.processorTime(of:)) ?? 0)
        }
        let file = scene.appending(path: "report.json")
        let before = try used()
        let run = try await Program.run(
            Server.taskset,
            [
                "--cpu-list", "0", settings.binary.path, "loadtest", "--keys", scene.path, "--broker", server.clients,
                "--clients", "\(clients)", "--stage", "\(settings.generatorSeconds)s@\(clients)", "--json", file.path,
            ])
        guard run.status == 0 else { throw BenchFault("the load test fails: \(run.output)") }
        return (try JSONDecoder().decode(Report.self, from: Data(contentsOf: file)), try used() - before)
    }
}

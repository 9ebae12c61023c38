import Foundation
import Testing

/// Every process of a deployment is restarted under load, one after the other, as for an update.
@Suite(.serialized) struct RollingRestartTests {
    private struct Report: Decodable {
        struct Counts: Decodable {
            let offered: Int
            let done: Int
            let refused: Int
            let ended: Int
            let wrong: Int
            let lost: Int
            let unanswered: Int
            let timeouts: Int
        }
        let counts: Counts
    }

    @Test(.timeLimit(.minutes(3))) func failsNoJob() async throws {
        let scene = try FleetScene(clients: 12, workers: 2, brokers: 2)
        func journal(_ name: String) -> [String] {
            ["--journal", "sqlite:\(scene.folder.path)/\(name).sqlite", "--lease", "4"]
        }
        var brokers: [CommandRun.Running] = [], endpoints: [FleetScene.Endpoints] = []
        for name in scene.brokers {
            let (process, said) = try await scene.broker(name, more: journal(name))
            brokers.append(process)
            endpoints.append(said)
        }
        let names = ["worker-1", "worker-2"]
        var workers = try names.map { try scene.worker($0, at: endpoints) }
        let log = scene.folder.appending(path: "jobs.log"), report = scene.folder.appending(path: "report.json")
        let generator = try scene.load(
            at: endpoints,
            [
                "--clients", "12", "--stage", "300s@50", "--publish", "0.3", "--timeout", "60s", "--drain", "30s",
                "--job-log", log.path, "--json", report.path,
            ])
        func surfaced() -> Int {
            let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").count { $0.hasPrefix("surfaced ") }
        }
        /// Work goes on before the next is restarted.
        func goOn() async throws {
            let now = surfaced()
            try await poll("results come", within: 30) { !generator.process.isRunning || surfaced() >= now + 25 }
        }
        try await goOn()
        for (place, name) in scene.brokers.enumerated() {
            brokers[place].process.terminate()
            let ended = try await brokers[place].end(within: 30)
            #expect(ended.status == 0, "\(ended.output)")
            brokers[place] = try await scene.broker(name, at: endpoints[place], more: journal(name)).process
            #expect(brokers[place].output.contains("Recovered"), "\(brokers[place].output)")
            try await goOn()
        }
        for (place, name) in names.enumerated() {
            workers[place].process.terminate()
            let ended = try await workers[place].end(within: 30)
            #expect(ended.status == 0, "\(ended.output)")
            workers[place] = try scene.worker(name, at: endpoints)
            try await goOn()
        }
        generator.process.interrupt()
        let run = try await generator.end(within: 60)
        #expect(run.status == 0, "\(run.output)")
        let counts = try JSONDecoder().decode(Report.self, from: Data(contentsOf: report)).counts
        #expect(counts.offered >= 150 && counts.done == counts.offered, "\(run.output)")
        #expect(counts.refused + counts.ended + counts.wrong + counts.lost + counts.unanswered + counts.timeouts == 0)
        // Each sent job surfaced, right, and once.
        let lines = try String(contentsOf: log, encoding: .utf8).split(separator: "\n").map { $0.split(separator: " ") }
        let sent = lines.filter { $0[0] == "job" }.map { $0[1] }
        let results = lines.filter { $0[0] == "surfaced" }
        #expect(results.allSatisfy { $0[2] == "right" })
        #expect(results.map { $0[1] }.sorted() == sent.sorted())
    }
}

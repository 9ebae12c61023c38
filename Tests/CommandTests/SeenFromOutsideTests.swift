import Exchange
import Foundation
import Journal
import Testing
import Wire

/// Running processes as an operator sees them: `jobs` and `top` of a live broker, and what a role shows over HTTP.
@Suite(.serialized) struct SeenFromOutsideTests {
    @Test(.timeLimit(.minutes(2))) func deadLettersOfALiveBroker() async throws {
        let scene = try FleetScene(clients: 1)
        let file = scene.folder.appending(path: "journal.sqlite")
        let dead = try Self.deadLetters(3, in: file)
        let journal = ["--journal", "sqlite:\(file.path)"]
        let (broker, _) = try await scene.broker(more: journal + ["--metrics-listen", "0"])
        let address = try await FleetScene.figures(of: broker)
        func jobs(_ words: String...) throws -> CommandRun { try scene.run(["jobs"] + words + journal) }
        let list = try jobs("list")
        #expect(list.status == 0 && list.output.split(separator: "\n").count == 3, "\(list.output)")
        #expect(dead.allSatisfy { list.output.contains("\($0)") })
        #expect(try jobs("show", dead[0].description).output.contains("state     dead-letter"))
        // What lies in the journal, though this process gave nothing up.
        let ready = try await FleetScene.ask("/readyz", from: address) { status, _ in status == 200 }
        #expect(ready.status == 200, "\(ready.body)")
        let top = try scene.run("top", "--once", "--from", address)
        #expect(top.status == 0 && top.output.contains("dead letters 3"), "\(top.output)")
        #expect(top.output.contains("broker broker at \(address)") && !top.output.contains("\u{1B}"), "\(top.output)")
        let metrics = try await FleetScene.get("/metrics", from: address).body
        #expect(FleetScene.strangeLabels(in: metrics) == [])
        #expect(metrics.contains("\ncollafuse_broker_jobs_dead 3\n"))
        #expect(metrics.contains("\ncollafuse_broker_dead_letters_total 0\n"))
        #expect(metrics.contains("\ncollafuse_broker_hold_bytes 268435456\n"))
        #expect(metrics.contains("\ncollafuse_broker_journal_failures_total 0\n"))
        // A running broker has them in memory: what is done to the file beneath it, it would not know.
        for verb in ["retry", "drop"] {
            let refused = try jobs(verb, dead[0].description)
            #expect(refused.status != 0, "\(refused.output)")
            #expect(refused.output.contains("\(broker.process.processIdentifier)"), "\(refused.output)")
            #expect(!refused.output.contains("Usage"), "\(refused.output)")
        }
        broker.process.terminate()
        #expect(try await broker.end(within: 30).status == 0)
        #expect(try jobs("retry", dead[0].description).status == 0)
        #expect(try jobs("drop", dead[1].description).status == 0)
        let (again, _) = try await scene.broker(more: journal)
        #expect(again.output.contains("dead=1"), "\(again.output)")
        let left = try jobs("list", "--all").output
        #expect(left.contains("\(dead[0])") && left.contains("queued"), "\(left)")
        #expect(try jobs("list").output.split(separator: "\n").count == 1)
    }

    /// Jobs of nobody in particular, given up.
    private static func deadLetters(_ count: Int, in file: URL) throws -> [JobID] {
        var random = SystemRandomNumberGenerator()
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        let jobs = (0..<count).map { _ in
            Envelope(
                client: ClientID.random(using: &random), job: JobID.random(using: &random), kind: .denoise,
                run: RunID.random(using: &random), created: now, expires: now + 3_600_000,
                poolKey: PoolKeyID.random(using: &random), clientEphemeralKey: [UInt8](repeating: 1, count: 32))
        }
        let store = try SQLiteStore(file)
        _ = try store.recover()
        try store.commit(jobs.map { .accepted($0.key, envelope: $0.bytes, sealed: [1, 2, 3]) })
        try store.commit(jobs.map { .ended($0.key, code: .deadLetter) })
        return jobs.map(\.job)
    }

    /// Many stub workers in a process: ready when each has a session, and their figures are sums.
    @Test(.timeLimit(.minutes(2))) func aProcessOfSeveralWorkers() async throws {
        let scene = try FleetScene(clients: 2, workers: 3)
        let (broker, first) = try await scene.broker(more: ["--journal", "memory"])
        let endpoints = [first]
        let workers = try scene.worker(
            "worker", at: endpoints, more: ["--workers", "3", "--slots", "1", "--metrics-listen", "0"])
        let address = try await FleetScene.figures(of: workers)
        let ready = try await FleetScene.ask("/readyz", from: address) { status, _ in status == 200 }
        #expect(ready.status == 200 && ready.body == "ok\n", "\(ready.body)")
        #expect(try await FleetScene.get("/healthz", from: address).status == 200)
        let load = try await scene.load(
            at: endpoints, ["--clients", "2", "--arrivals", "constant", "--stage", "1s@60", "--exit-on-slo", "lost=0"]
        ).end(within: 60)
        #expect(load.status == 0, "\(load.output)")
        let metrics = try await FleetScene.ask("/metrics", from: address) { _, body in
            body.contains("\ncollafuse_worker_jobs_answered_total 60\n")
        }.body
        for line in [
            "collafuse_worker_jobs_answered_total 60", "collafuse_worker_jobs_taken_total 60",
            "collafuse_worker_in_session 3", "collafuse_worker_roles{role=\"denoise\"} 3",
            "collafuse_worker_job_duration_seconds_count 60",
        ] {
            #expect(metrics.contains("\n\(line)\n"), "\(line) in \(metrics)")
        }
        #expect(FleetScene.strangeLabels(in: metrics) == [])
        #expect(try await FleetScene.get("/status", from: address).body.contains("\"name\":\"3 workers\""))
        // Without their broker they are not ready, and say why; the processes live.
        broker.process.terminate()
        #expect(try await broker.end(within: 30).status == 0)
        let alone = try await FleetScene.ask("/readyz", from: address) { status, _ in status == 503 }
        #expect(alone.status == 503 && alone.body.contains("no session with the broker"), "\(alone.body)")
        #expect(try await FleetScene.get("/healthz", from: address).status == 200)
        workers.process.terminate()
        #expect(try await workers.end(within: 30).status == 0)
    }
}

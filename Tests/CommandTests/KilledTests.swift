import Foundation
import Testing

/// Real processes that are killed in the middle of their work: what they were at is brought to its end, once.
@Suite(.serialized) struct KilledTests {
    @Test(.timeLimit(.minutes(5))) func aClientWhilePublishing() async throws {
        let scene = try DeploymentScene()
        _ = try scene.broker()
        let endpoints = try await scene.endpoints()
        _ = try scene.trainer(at: endpoints, images: 32)
        func publish() throws -> CommandRun.Running {
            try scene.client("publish", at: endpoints.clients, "--labels", "0-3", "--chunk", "8")
        }
        // While it masks.
        let first = try publish()
        try await poll("it masks") { try !first.process.isRunning || scene.spooled().count >= 10 }
        first.kill()
        #expect(try await first.end().status == SIGKILL)
        let masked = try scene.spooledPublications()
        let charged = try scene.ledger("release")
        #expect(masked.count >= 80)
        // While it sends.
        let second = try publish()
        try await poll("it sends") { !second.process.isRunning || scene.storedFiles >= 5 }
        second.kill()
        #expect(try await second.end().status == SIGKILL)
        let sent = try scene.stored(), waiting = try scene.spooledPublications()
        #expect(!waiting.isEmpty, "it was killed too late to tell")
        // To the end.
        let third = try await publish().end()
        #expect(third.status == 0, "\(third.output)")
        let stored = try scene.stored()
        let count = try DeploymentScene.count(labels: [0, 1, 2, 3])
        #expect(stored.count == count)
        for (name, earlier) in [("masked first", masked), ("sent", sent), ("waiting", waiting)] {
            #expect(earlier.allSatisfy { stored[$0] == $1 }, "\(name)")
        }
        // One release for each image, charged once; a receipt for each.
        #expect(try scene.ledger("release") == charged && charged.count == count && Set(charged).count == count)
        let receipts = try scene.ledger("stored")
        #expect(receipts.count == count && Set(receipts).count == count)
        #expect(
            third.output.contains("the most exposed has 1,") && third.output.contains("ζ_eff = 500"), "\(third.output)")
        let fourth = try await publish().end()
        #expect(fourth.status == 0 && fourth.output.contains("0 masked images sent"), "\(fourth.output)")
        for folder in ["spool", "results"] {
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: scene.home.appending(path: folder).path).isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(5))) func aDenoisingWorker() async throws {
        let scene = try DeploymentScene()
        let broker = try scene.broker(more: ["--lease", "4"])
        let endpoints = try await scene.endpoints()
        _ = try scene.trainer(at: endpoints, images: 64)
        let published = try await scene.client("publish", at: endpoints.clients, "--labels", "6").end()
        #expect(published.status == 0, "\(published.output)")
        let head = try scene.client("train", at: endpoints.clients, "--labels", "6", "--for", "64", "--batch", "32")
        #expect(try await head.end().status == 0)
        // Eight samples in a pass: it takes a while.
        let settings = ["--slots", "8", "--checkpoint-every", "8", "--checkpoint-seconds", "0"]
        let first = try scene.denoiser("denoiser-1", at: endpoints, more: settings)
        let sample = try scene.client(
            "sample", at: endpoints.clients, "--labels", "6", "--per-label", "48", "--steps", "1000",
            "--wait-for-images",
            "64", "--out", "drawn")
        try await poll("it writes down what it works on") { (scene.figures?.checkpoints ?? 0) > 1 }
        first.kill()
        #expect(try await first.end().status == SIGKILL)
        let second = try scene.denoiser("denoiser-2", at: endpoints, more: settings)
        let goesOn = "a job goes on where another worker left it"
        try await poll("another goes on with it") { second.output.contains(goesOn) }
        // A worker that is asked to end hands back what it has, and a third goes on again.
        second.process.terminate()
        let handedBack = try await second.end()
        #expect(handedBack.status == 0, "\(handedBack.output)")
        let third = try scene.denoiser("denoiser-1", at: endpoints, more: settings + ["--metrics-listen", "0"])
        try await poll("a third goes on with it") { third.output.contains(goesOn) }
        let drawn = try await sample.end()
        #expect(drawn.status == 0 && drawn.output.contains("48 samples in drawn; --seed "), "\(drawn.output)")
        for file in ["samples.safetensors", "grid.png"] {
            #expect(FileManager.default.fileExists(atPath: scene.folder.appending(path: "drawn/\(file)").path))
        }
        // What it shows of itself are counts, and nobody's names.
        let answered = "\ncollafuse_worker_jobs_answered_total "
        let metrics = try await FleetScene.ask("/metrics", from: FleetScene.figures(of: third)) { _, body in
            body.contains(answered) && !body.contains(answered + "0\n")
        }.body
        for line in ["worker_roles{role=\"denoise\"} 1", "worker_in_session 1", "worker_jobs 0"] {
            #expect(metrics.contains("\ncollafuse_\(line)\n"), "\(line) in \(metrics)")
        }
        #expect(metrics.contains(answered) && FleetScene.strangeLabels(in: metrics) == [], "\(metrics)")
        // Who is asked to end, ends well.
        for running in [third, broker] {
            running.process.terminate()
            let end = try await running.end()
            #expect(end.status == 0, "\(end.output)")
        }
        let figures = try #require(scene.figures)
        #expect(figures.redelivered > 0 && figures.handedBack > 0 && figures.resumed > 1)
        // Of the kill alone: fewer than eight passes of eight samples.
        #expect(figures.stepsRedone < 64, "\(figures.stepsRedone)")
    }

    /// Under `collafuse up`, which starts them again: the trainer while clients publish, then the one that denoises.
    @Test(.timeLimit(.minutes(5))) func workersUnderUp() async throws {
        try await inTemporaryFolder { folder in
            let topology = """
                \(DeploymentScene.run)
                workers:
                  - {name: trainer, role: train, images: 1500}
                  - {name: denoiser, role: denoise}
                clients:
                  - {name: north, images: \(DeploymentScene.digits.path), labels: [0, 1], head: {images: 320}}
                  - {name: east, images: \(DeploymentScene.digits.path), labels: [2], head: {images: 320}}
                sample: {per_label: 24, unseen_per_label: 1, steps: 800}
                report: {cuts: [500]}
                out: made
                """
            try Data(topology.utf8).write(to: folder.appending(path: "t.yaml"))
            let up = try CommandRun.Running(
                CommandRun.binaries.appending(path: "collafuse"), ["up", "t.yaml"], in: folder)
            let made = folder.appending(path: "made")
            let publications = made.appending(path: "workers/trainer/publications")
            try await poll("clients publish") {
                !up.process.isRunning || DeploymentScene.storedFiles(in: publications) > 0
            }
            for pid in try Self.processes(with: "\(made.path)/keys/nodes/trainer") { kill(pid, SIGKILL) }
            try await poll("a worker works") {
                guard up.process.isRunning else { return true }
                return (DeploymentScene.figures(made.appending(path: "metrics/broker.jsonl"))?.denoising ?? 0) > 0
            }
            for pid in try Self.processes(with: "\(made.path)/keys/nodes/denoiser") { kill(pid, SIGKILL) }
            let run = try await up.end(within: 200)
            #expect(run.status == 0, "\(run.output)")
            #expect(
                run.output.split(separator: "was ended by signal 9: starting it again").count == 3, "\(run.output)")
            // Every image is in the trainer's store once, whatever was published to it twice.
            #expect(
                try DeploymentScene.stored(in: publications, keys: made.appending(path: "keys")).count
                    == DeploymentScene.count(labels: [0, 1, 2]))
            let record = try JSONDecoder().decode(
                Nodes.self, from: Data(contentsOf: made.appending(path: "nodes.json")))
            #expect(record.nodes.count == 5)
            for node in record.nodes {
                #expect(node.restarts == (["trainer", "denoiser"].contains(node.name) ? 1 : 0), "\(node)")
                #expect(node.peakMegabytes > 1 && node.peakMegabytes < (node.role == "broker" ? 60 : 1500), "\(node)")
            }
            for client in ["north", "east"] {
                for file in ["samples.safetensors", "unseen.safetensors", "grid.png"] {
                    let path = made.appending(path: "samples/\(client)/\(file)").path
                    #expect(FileManager.default.fileExists(atPath: path), "\(path)")
                }
            }
        }
    }

    private struct Nodes: Codable {
        struct Node: Codable {
            var name: String
            var role: String
            var peakMegabytes: Double
            var restarts: Int
        }

        var nodes: [Node]
    }

    /// Processes with this word in their command line.
    private static func processes(with word: String) throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap(Int32.init).filter { pid in
            let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            return line.split(separator: 0).contains { String(decoding: $0, as: UTF8.self) == word }
        }
    }
}

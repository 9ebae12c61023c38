import Foundation
import Testing

/// What a person gets to see who gives a command something that it cannot use.
@Suite struct WrongInputCommandTests {
    private static let hopeless: Int32 = 65
    private static let nowhere = "tcp://127.0.0.1:1"

    @Test(.timeLimit(.minutes(5))) func hopelessOnesSayWhyAndEnd() async throws {
        let scene = try DeploymentScene()
        func expect(
            _ status: Int32, _ words: String..., from command: CommandRun.Running,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let run = try await command.end()
            #expect(run.status == status, "\(run.output)", sourceLocation: sourceLocation)
            for word in words + ["Error: "] {
                #expect(run.output.contains(word), "\(word) in \(run.output)", sourceLocation: sourceLocation)
            }
        }
        try await expect(
            Self.hopeless, "there is no folder or file", "/gone",
            from: scene.client("publish", at: Self.nowhere, images: "/gone"))
        let lying = scene.folder.appending(path: "lying.safetensors")
        try Data([200, 0, 0, 0, 0, 0, 0, 0] + Array("{\"images\":{}}".utf8)).write(to: lying)
        try await expect(
            Self.hopeless, lying.path, from: scene.client("publish", at: Self.nowhere, images: lying.path))
        try await expect(
            Self.hopeless, "label 12 is out of range", "0…9",
            from: scene.client("publish", at: Self.nowhere, "--labels", "1,12"))
        try await expect(
            Self.hopeless, "the run allows the cuts 500", from: scene.client("publish", at: Self.nowhere, cut: 400))
        try await expect(
            Self.hopeless, "limit of -20.0 dB", "later",
            from: scene.client("publish", at: Self.nowhere, "--limit-db=-20"))
        #expect(try scene.spooled().isEmpty && scene.ledger("release").isEmpty)
        try await expect(
            Self.hopeless, "no head", "client train --cut 500",
            from: scene.client("sample", at: Self.nowhere, "--out", "drawn"))
        try await expect(64, "is no label", from: scene.client("publish", at: Self.nowhere, "--labels", "one"))
        // Before a worker tries which width is the best, which takes its time.
        let worker = try await scene.denoiser("denoiser-1", at: .init(clients: "", workers: "nonsense")).end()
        #expect(worker.status == 64 && worker.output.contains("write tcp://HOST:PORT"), "\(worker.output)")
        let kit = scene.keys.appending(path: "nodes/north")
        for name in try FileManager.default.contentsOfDirectory(atPath: kit.path) where name.hasSuffix(".key") {
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o644], ofItemAtPath: kit.appending(path: name).path)
        }
        try await expect(
            Self.hopeless, "chmod 600 \(kit.path)", from: scene.client("publish", at: Self.nowhere))
    }

    /// What can be seen in the command line, or in the folders that it names, is said before anything is done.
    @Test(.timeLimit(.minutes(5))) func whatIsSeenBeforehand() async throws {
        let scene = try DeploymentScene()
        func expect(
            _ status: Int32, _ words: String..., from arguments: [String],
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let run = try CommandRun.of(
                CommandRun.binaries.appending(path: "collafuse"), arguments, in: scene.folder,
                environment: ["OMP_NUM_THREADS": "1"])
            #expect(run.status == status, "\(run.output)", sourceLocation: sourceLocation)
            for word in words {
                #expect(run.output.contains(word), "\(word) in \(run.output)", sourceLocation: sourceLocation)
            }
        }
        let client =
            ["--kit", scene.kit("north"), "--broker", Self.nowhere, "--home", scene.home.path] + scene.deployment
        let sample = ["client", "sample"] + client + ["--images", DeploymentScene.digits.path, "--cut", "500"]
        for limit in ["nan", "inf", "-inf", "1e300"] {
            try expect(
                64, "--limit-db is a number of decibels",
                from: ["client", "publish"] + client + ["--images", "x", "--cut", "500", "--limit-db=\(limit)"])
        }
        for guidance in ["nan", "inf", "-1", "101"] {
            try expect(64, "--guidance is a weight in 0…100", from: sample + ["--out", "o", "--guidance=\(guidance)"])
        }
        try expect(
            64, "--learning-rate",
            from: ["client", "train"] + client
                + ["--images", "x", "--cut", "500", "--for", "1", "--learning-rate=inf"])
        try Data().write(to: scene.folder.appending(path: "file"))
        for out in ["file", "file/below"] {
            try expect(Self.hopeless, "\(scene.folder.path)/\(out)", from: sample + ["--out", out])
        }
        #expect(!FileManager.default.fileExists(atPath: scene.home.path))
        let worker = ["worker", "--kit", scene.kit("denoiser-1"), "--broker", Self.nowhere] + scene.deployment
        for command in [worker + ["--role", "denoise", "--registry", "r"], ["bench", "device"]] {
            try expect(64, "There is no cuda:255: ", from: command + ["--device", "cuda:255"])
            try expect(64, "--device", "gpu", from: command + ["--device", "gpu"])
        }
        for bench in ["denoise", "device", "broker"] {
            let more = bench == "device" ? ["--device", "cpu"] : []
            try expect(
                64, "file/below.json cannot be written", from: ["bench", bench, "--json", "file/below.json"] + more)
        }
        try expect(64, "small vs eager, ", from: ["bench", "denoise", "--only", "nonsense"])
        try expect(64, "--slots at least 2", from: worker + ["--role", "denoise", "--registry", "r", "--slots", "1"])
        for eta in ["nan", "2"] { try expect(64, "--eta", from: sample + ["--out", "o", "--eta", eta]) }
        try expect(
            64, "--device is for --role denoise",
            from: worker + ["--role", "train", "--registry", "r", "--state", "s", "--device", "cuda"])
        for command in ["report", "baseline"] {
            try expect(1, "There is no folder", "/gone", "out/demo", from: [command, "--folder", "/gone"])
            try expect(1, "no plan.json", scene.folder.path, from: [command, "--folder", scene.folder.path])
        }
        // A home that nobody made is not made by the way, and says nothing of another.
        try expect(
            Self.hopeless, "there is no home \(scene.home.path)", "client publish",
            from: ["client", "status"] + client + ["--wait", "0"])
        try expect(
            Self.hopeless, "there is no home \(scene.home.path)", from: ["client", "cancel"] + client)
        try expect(Self.hopeless, "there is no home", from: sample + ["--out", "o"])
        #expect(!FileManager.default.fileExists(atPath: scene.home.path))
        // Publishing makes one, and says so; its limit stays until publishing is told another.
        let publish = ["client", "publish"] + client + ["--images", "/gone", "--cut", "500"]
        try expect(Self.hopeless, "made a new home, \(scene.home.path)", "/gone", from: publish)
        try expect(
            Self.hopeless, "the owner's limit", "is 9.5 dB from now on; it was 3.0 dB", "/gone",
            from: publish + ["--limit-db", "9.5"])
        try expect(64, "--limit-db", from: ["client", "status"] + client + ["--limit-db", "12"])
        // The client has no other home.
        let elsewhere = scene.folder.appending(path: "elsewhere")
        for command in [publish, ["client", "status"] + client] {
            try expect(
                Self.hopeless, "\(elsewhere.path) is not this client's home", "home.id",
                from: command.map { $0 == scene.home.path ? elsewhere.path : $0 })
        }
        #expect(!FileManager.default.fileExists(atPath: elsewhere.path))
        // Alone, a client still tells what is its own.
        try expect(
            0, "nothing has left this client", "nothing waits in the spool", "no word from the broker",
            from: ["client", "status"] + client + ["--wait", "0.5"])

        // Two runs: which one is meant has to be said.
        let topology = scene.folder.appending(path: "other.yaml")
        try Data(Shapes.topology(clients: "name: a, images: pictures").utf8).write(to: topology)
        let signed = try CommandRun.of(
            CommandRun.binaries.appending(path: "collafuse"), ["keys", "run", topology.path], in: scene.folder)
        let id = try #require(signed.output.split(separator: " ").last).trimmingCharacters(in: .whitespacesAndNewlines)
        let status = ["client", "status"] + client + ["--wait", "0"]
        try expect(Self.hopeless, "name one run by the first digits of its id", "(digits)", "(shapes)", from: status)
        try expect(0, "run shapes", from: status + ["--run", String(id.prefix(8))])
        try expect(Self.hopeless, "name one run by the first digits", from: status + ["--run", "zz"])
    }

    /// A client waits for its broker, and keeps its home to itself.
    @Test(.timeLimit(.minutes(5))) func whatIsCuredByWaiting() async throws {
        let scene = try DeploymentScene()
        let earlier = try scene.broker()
        let endpoints = try await scene.endpoints()
        earlier.process.terminate()
        #expect(try await earlier.end().status == 0)
        let waiting = try scene.client("publish", at: endpoints.clients, "--labels", "5")
        try await poll("it says so") { waiting.output.contains("Broker not reachable; trying again") }
        let second = try await scene.client("publish", at: endpoints.clients, "--labels", "5").end()
        #expect(second.status == 1)
        #expect(
            second.output.contains("is in use by process \(waiting.process.processIdentifier): wait for it to end"),
            "\(second.output)")
        let broker = try scene.broker(at: endpoints)
        _ = try scene.trainer(at: endpoints, images: 32)
        let run = try await waiting.end()
        #expect(run.status == 0, "\(run.output)")
        #expect(try scene.stored().count == DeploymentScene.count(labels: [5]))
        // It says it a few times at most, not ten times a second.
        #expect(run.output.split(separator: "\n").count < 30, "\(run.output)")
        // Its ports are taken.
        let other = try await scene.broker(at: endpoints, more: ["--journal", "memory"]).end()
        #expect(other.status != 0 && other.output.contains(endpoints.clients), "\(other.output)")
        #expect(broker.process.isRunning)
    }
}

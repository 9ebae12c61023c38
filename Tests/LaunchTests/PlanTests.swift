import Chain
import Diffusion
import Foundation
import Launch
import Testing
import Topology
import Trust
import Wire

private let yaml = """
    run: {name: shapes, timesteps: 100, cut: 40, image: [3, 32, 16], labels: [disc, square],
          backbone: {channels: [32, 64], layers: 1, attention: [false, true]}}
    workers:
      - {name: trainer, role: train, images: 700, threads: 2}
      - {name: denoiser, role: denoise}
    clients:
      - {name: a, images: pictures, labels: [square], head: {images: 300}}
      - {name: b, images: /data/b, cut: 60, do: [publish, sample]}
    sample: {per_label: 5, steps: 20}
    """

private let binaries = LaunchPlan.Binaries(collafuse: URL(filePath: "/bin/cf"), compute: URL(filePath: "/bin/cc"))

private func withFolder(_ body: (URL) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "plan-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try await body(folder)
}

@Suite struct PlanTests {
    @Test func theCommandLines() throws {
        let topology = try Topology(yaml: yaml, file: "t.yaml")
        let plan = LaunchPlan(
            topology, topologyFolder: URL(filePath: "/t/"), folder: RunFolder(planning: URL(filePath: "/out")),
            deployment: URL(filePath: "/out/keys/public"), kit: { URL(filePath: "/kits/\($0)") }, binaries: binaries)
        let lines = plan.text.split(separator: "\n").map(String.init)
        let common = { (name: String, side: String) in
            "--deployment /out/keys/public --kit /kits/\(name) --broker <broker: \(side)> --metrics /out/metrics/\(name).jsonl"
        }
        let environment = { (threads: Int) in "COLLAFUSE_PROGRESS=lines OMP_NUM_THREADS=\(threads)" }
        #expect(
            lines == [
                "broker: /bin/cf broker --deployment /out/keys/public --kit /kits/broker --clients tcp://127.0.0.1:*"
                    + " --workers tcp://127.0.0.1:* --journal sqlite:/out/broker/journal.sqlite --memory 4096 --announce /out/endpoints.json"
                    + " --metrics /out/metrics/broker.jsonl",
                "trainer: \(environment(2)) /bin/cc worker --role train --registry /out/models \(common("trainer", "workers"))"
                    + " --state /out/workers/trainer --images 700 --batch 64 --learning-rate 0.002 --precision single --threads 2",
                "denoiser: \(environment(1)) /bin/cc worker --role denoise --registry /out/models"
                    + " \(common("denoiser", "workers")) --threads 1",
                "a: \(environment(1)) /bin/cc client publish \(common("a", "clients")) --home /out/clients/a"
                    + " --images /t/pictures --labels 1 --cut 40 --policy once",
                "a: \(environment(1)) /bin/cc client train \(common("a", "clients")) --home /out/clients/a"
                    + " --images /t/pictures --labels 1 --cut 40 --for 300 --threads 1 --batch 64 --learning-rate 0.002 --precision single",
                "a: \(environment(1)) /bin/cc client sample \(common("a", "clients")) --home /out/clients/a"
                    + " --images /t/pictures --labels 1 --cut 40 --per-label 5 --unseen-per-label 0 --steps 20 --sampler ddim"
                    + " --guidance 1.0 --wait-for-images 700 --out /out/samples/a --threads 1",
                "b: \(environment(1)) /bin/cc client publish \(common("b", "clients")) --home /out/clients/b --images /data/b"
                    + " --cut 60 --policy once",
                "b: \(environment(1)) /bin/cc client sample \(common("b", "clients")) --home /out/clients/b --images /data/b"
                    + " --cut 60 --per-label 5 --unseen-per-label 0 --steps 20 --sampler ddim --guidance 1.0"
                    + " --wait-for-images 700 --out /out/samples/b --threads 1",
                "closing: /bin/cc report --folder /out",
            ])
    }

    @Test func severalBrokersAreNamedToEverybody() throws {
        let topology = try Topology(yaml: "brokers: [{name: hub-1}, {name: hub-2}]\n" + yaml, file: "t.yaml")
        let plan = LaunchPlan(
            topology, topologyFolder: URL(filePath: "/t/"), folder: RunFolder(planning: URL(filePath: "/out")),
            deployment: URL(filePath: "/out/keys/public"), kit: { URL(filePath: "/kits/\($0)") }, binaries: binaries)
        let lines = plan.text.split(separator: "\n").map(String.init)
        for name in ["hub-1", "hub-2"] {
            let own = try #require(lines.first { $0.hasPrefix("\(name):") })
            #expect(
                own.contains("sqlite:/out/\(name)/journal.sqlite --memory 4096 --announce /out/endpoints-\(name).json"))
        }
        let side = { (side: String) in "--broker hub-1@<hub-1: \(side)> --broker hub-2@<hub-2: \(side)>" }
        #expect(lines.count { $0.contains(side("workers")) } == 2 && lines.count { $0.contains(side("clients")) } == 5)
        #expect(plan.nodes[2].stages[0].needs.contains(.ready("hub-2")))
    }

    private func lines(_ overrides: String...) throws -> [String] {
        let topology = try Topology(yaml: yaml, file: "t.yaml", overrides: overrides)
        let plan = LaunchPlan(
            topology, topologyFolder: URL(filePath: "/t/"), folder: RunFolder(planning: URL(filePath: "/out")),
            deployment: URL(filePath: "/out/keys/public"), kit: { URL(filePath: "/kits/\($0)") }, binaries: binaries)
        return plan.text.split(separator: "\n").map(String.init)
    }

    @Test func limitsAndFreshMasks() throws {
        let limited = try lines("limit_db=4.5", "clients.b.limit_db=-2")
        #expect(limited.contains { $0.hasPrefix("a:") && $0.hasSuffix("--policy once --limit-db 4.5") })
        #expect(limited.contains { $0.hasPrefix("b:") && $0.hasSuffix("--policy once --limit-db -2.0") })
        // One keeps its masks at the server, so training goes on to its number of images.
        let mixed = try lines("clients.a.release=fresh", "clients.a.epochs=3")
        #expect(mixed.contains { $0.hasPrefix("a:") && $0.hasSuffix("--policy fresh --epochs 3") })
        #expect(mixed.contains { $0.contains("--wait-for-images 700") })
        let fresh = try lines("clients.a.release=fresh", "clients.b.release=fresh", "clients.b.epochs=2")
        #expect(fresh.filter { $0.contains("--wait-for-images <a + b: published>") }.count == 2)
    }

    /// SNR(40) of the cosine schedule's 100 steps is 2.6 dB, SNR(60) is −2.9 dB: numbers from diffusers' betas.
    @Test func whatALimitAdmitsIsFoundBeforeTheStart() throws {
        func message(_ overrides: String...) throws -> String? {
            let topology = try Topology(yaml: yaml, file: "t.yaml", overrides: overrides)
            do {
                try topology.checkExposure()
                return nil
            } catch {
                #expect(error.code == .run)
                return error.message
            }
        }
        #expect(try message() == nil)
        let early = try #require(try message("run.cut=20"))
        #expect(early.contains("a would publish each image once at cut 20") && early.contains("limit of 3.0 dB"))
        #expect(early.contains("`limit_db`") && early.contains("--set limit_db="))
        // What it advises is enough, by the least that can be said with one digit.
        let advised = try #require(early.split(separator: "limit_db=").last?.dropLast())
        #expect(try message("run.cut=20", "limit_db=\(advised)") == nil)
        #expect(try message("run.cut=20", "limit_db=\((try #require(Double(advised))) - 0.1)") != nil)
        let cut = try #require(early.split(separator: "publish at cut ").last?.split(separator: " ").first)
        #expect(try message("run.cut=\(cut)") == nil)
        #expect(try message("run.cut=\((try #require(Int(cut))) - 1)") != nil)
        // Epochs add up; a client that publishes nothing is asked nothing.
        #expect(try message("clients.a.release=fresh", "clients.a.epochs=2") != nil)
        #expect(try message("clients.b.release=fresh", "clients.b.epochs=3") == nil)
        #expect(try message("clients.b.release=fresh", "clients.b.epochs=4")?.contains("4 times") == true)
        #expect(try message("clients.a.cut=20", "clients.a.do=[sample]") == nil)
    }

    @Test func theKeys() async throws {
        try await withFolder { folder in
            let topology = try Topology(yaml: yaml, file: "t.yaml")
            let now: Int64 = 1_800_000_000_000
            let made = try DeploymentKeys.make(for: topology, in: folder, now: now)
            let deployment = try Deployment(opening: made.deploymentFolder, pinned: made.root, now: now)
            #expect(Set(deployment.roster.clients.map(\.name.description)) == ["a", "b"])
            #expect(deployment.brokers.map(\.name.description) == ["broker"])
            let roles = Dictionary(
                uniqueKeysWithValues: deployment.workers.values.map { ($0.name.description, $0.roles) })
            #expect(roles == ["trainer": [.train], "denoiser": [.denoise]])
            #expect(deployment.poolKeys?.keys.count == PoolRole.allCases.count)
            for name in ["broker", "trainer", "denoiser", "a", "b"] {
                let kit = try NodeKit(opening: made.kitFolder(NodeName(name)))
                #expect(kit.root == made.root)
            }
            #expect(throws: LaunchError.self) { try DeploymentKeys.make(for: topology, in: folder, now: now) }
        }
    }

    @Test func theRun() throws {
        let topology = try Topology(yaml: yaml, file: "t.yaml")
        let run = try RunDescriptor(topology, nonce: Array(repeating: 7, count: 16), created: 5)
        #expect(run.allowedCuts == [40, 60] && run.labels == ["disc", "square"] && run.schedule.timesteps == 100)
        #expect(run.image.description == "3×32×16")
        let json = try JSONSerialization.jsonObject(with: Data(run.backboneConfig.utf8))
        let config = try #require(json as? [String: Any])
        #expect(config["block_out_channels"] as? [Int] == [32, 64])
        #expect(config["down_block_types"] as? [String] == ["DownBlock2D", "AttnDownBlock2D"])
        #expect(config["up_block_types"] as? [String] == ["AttnUpBlock2D", "UpBlock2D"])
        #expect(config["num_class_embeds"] as? Int == 3)  // two labels and "none"
        #expect(config["sample_size"] as? [Int] == [32, 16])
        // The networks' own reading of it.
        try UNetConfiguration(json: run.backboneConfig).check(channels: 3, height: 32, width: 16)
        // The same topology gives the same bytes, and so the same run id.
        #expect(
            try RunDescriptor(topology, nonce: Array(repeating: 7, count: 16), created: 5).backboneConfig
                == run.backboneConfig)
    }

    @Test func thePlanOfAnotherVersionIsSaidToBeOne() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let file = folder.appending(path: "plan.json")
            try PlanRecord(Topology(yaml: yaml, file: "t.yaml"), topologyFolder: folder).write(to: file)
            #expect(try PlanRecord(contentsOf: file).clients.map(\.masks) == [1, 1])
            // As an earlier version wrote it.
            let text = try String(contentsOf: file, encoding: .utf8)
            try Data(text.replacing("masks", with: "marks").utf8).write(to: file)
            let error = #expect(throws: LaunchError.self) { try PlanRecord(contentsOf: file) }
            #expect(error?.message.contains("another version of collafuse") == true)
        }
    }

    /// What masks and networks are made with is signed with the run; how the loss is weighed is each trainer's own.
    @Test func trainingOptions() throws {
        let topology = try Topology(
            yaml: yaml, file: "t.yaml",
            overrides: [
                "run.offset_noise=0.1", "run.schedule=scaled_linear", "run.backbone.self_conditioning=true",
                "workers.trainer.min_snr=5", "clients.a.head.min_snr=2.5", "workers.trainer.precision=mixed",
            ])
        let run = try RunDescriptor(topology, nonce: Array(repeating: 7, count: 16), created: 5)
        #expect(run.schedule == (try Schedule(.scaledLinear(), timesteps: 100, offsetNoise: 0.1)))
        let configuration = try UNetConfiguration(json: run.backboneConfig)
        #expect(configuration.isSelfConditioned && configuration.inChannels == 6 && configuration.outChannels == 3)
        try configuration.check(channels: 3, height: 32, width: 16)
        #expect(topology.workers[0].training?.minSNR == 5 && topology.clients[0].head.minSNR == 2.5)
        #expect(topology.workers[0].training?.precision == .mixed && topology.clients[0].head.precision == .single)
    }

    @Test(arguments: [
        ("{kind: scaled_linear, start: 0.0015, end: 0.0195}", Schedule.Kind.scaledLinear(start: 0.0015, end: 0.0195)),
        ("{kind: linear, start: 0.001, end: 0.2}", .linear(start: 0.001, end: 0.2)), ("linear", .linear()),
        ("{kind: sigmoid, tau: 0.5}", .sigmoid(tau: 0.5)), ("sigmoid", .sigmoid()),
        ("{kind: cosine, offset: 0.01}", .cosine(offset: 0.01)), ("{kind: cosine}", .cosine()),
        ("beta_sigmoid", .betaSigmoid()),
    ])
    func schedulesOfTopologies(text: String, kind: Schedule.Kind) async throws {
        let topology = try Topology(yaml: yaml, file: "t.yaml", overrides: ["run.schedule=\(text)"])
        let run = try RunDescriptor(topology, nonce: Array(repeating: 7, count: 16), created: 5)
        #expect(run.schedule == (try Schedule(kind, timesteps: 100)))
        // The closing report reckons with the same.
        try await withFolder { folder in
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let file = folder.appending(path: "plan.json")
            try PlanRecord(topology, topologyFolder: folder).write(to: file)
            #expect(try PlanRecord(contentsOf: file).chain() == run.schedule)
        }
    }

    @Test func schedulesThatCannotBeAreRefused() throws {
        for text in ["{kind: linear, start: 0, end: 0.1}", "{kind: sigmoid, start: 3, end: -3}"] {
            let topology = try Topology(yaml: yaml, file: "t.yaml", overrides: ["run.schedule=\(text)"])
            #expect { try RunDescriptor(topology, nonce: Array(repeating: 7, count: 16), created: 5) } throws: {
                ($0 as? ChainError)?.code == .badSchedule
            }
        }
    }

    @Test func aFolderIsEmptiedOnlyWhenARunMadeIt() async throws {
        try await withFolder { url in
            do {
                let folder = try RunFolder(emptying: url)
                try Data("x".utf8).write(to: folder.plan)
                let second = #expect(throws: LaunchError.self) { try RunFolder(emptying: url) }
                #expect(second?.message.contains("another run is using") == true)
                _ = folder.url
                withExtendedLifetime(folder) {}
            }
            // A process that another test is just starting holds the lock for the moment between fork and exec.
            var again: RunFolder?
            for _ in 0..<100 where again == nil {
                again = try? RunFolder(emptying: url)
                if again == nil { try await Task.sleep(for: .milliseconds(50)) }
            }
            let plan = try #require(again).plan
            #expect(!FileManager.default.fileExists(atPath: plan.path))
        }
        try await withFolder { url in
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
            try Data("precious".utf8).write(to: url.appending(path: "thesis.tex"))
            let error = #expect(throws: LaunchError.self) { try RunFolder(emptying: url) }
            #expect(error?.code == .folder)
            #expect(FileManager.default.fileExists(atPath: url.appending(path: "thesis.tex").path))
        }
    }
}

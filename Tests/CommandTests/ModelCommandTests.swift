import Foundation
import Safetensors
import Testing

/// `collafuse model` from outside: what it makes of diffusers' own models, and what it says of others.
@Suite struct ModelCommandTests {
    private static func golden(_ name: String) -> URL {
        CommandRun.repository.appending(path: "Tests/Goldens/unet-\(name)")
    }

    private func model(_ arguments: String...) throws -> CommandRun {
        try CommandRun.of(CommandRun.binaries.appending(path: "collafuse"), ["model"] + arguments)
    }

    @Test(.timeLimit(.minutes(5))) func runsWhatDiffusersMade() async throws {
        try await inTemporaryFolder { folder in
            let golden = Self.golden("text"), input = golden.appending(path: "golden.safetensors")
            let output = folder.appending(path: "out.safetensors")
            let run = try model("run", "--model", golden.path, "--input", input.path, "--output", output.path)
            #expect(run.status == 0, "\(run.output)")
            let truth = try SafetensorsArchive(contentsOf: input).floats("output", shape: [3, 2, 8, 8])
            let ours = try SafetensorsArchive(contentsOf: output).floats("sample", shape: [3, 2, 8, 8])
            let scale = truth.map(abs).max() ?? 1
            #expect(zip(ours, truth).allSatisfy { abs($0 - $1) < 1e-5 * scale })
            let info = try model("info", "--model", golden.path)
            #expect(info.status == 0)
            for words in ["UNet2DConditionModel", "embeddings of 6 values", "CrossAttnDownBlock2D", "float32"] {
                #expect(info.output.contains(words), "\(words) in \(info.output)")
            }
        }
    }

    /// What its labels are, and whether it can be guided, is what who writes a run for it has to know.
    @Test(.timeLimit(.minutes(5))) func saysWhatItsClassesAre() async throws {
        func info(_ folder: URL) throws -> String { try model("info", "--model", folder.path).output }
        let foreign = try info(Self.golden("classes"))
        for words in ["num_class_embeds 5: labels 0…4", "not written down", "a run with 4 labels always"] {
            #expect(foreign.contains(words), "\(words) in \(foreign)")
        }
        let trained = CommandRun.repository.appending(path: "Tests/Goldens/samplers/trained")
        try await inTemporaryFolder { folder in
            for (labels, words) in [(10, "samples can be guided"), (11, "samples cannot be guided")] {
                let model = folder.appending(path: "labels-\(labels)")
                try FileManager.default.copyItem(at: trained, to: model)
                let record = """
                    {"role": "backbone", "version": 1, "run": "", "images_seen": 1, "first_timestep": 1, "last_timestep": 1000, \
                    "labels": \(labels), "trained_labels": [0]}
                    """
                try Data(record.utf8).write(to: model.appending(path: "collafuse.json"))
                let said = try info(model)
                #expect(said.contains("num_class_embeds 11: labels 0…\(labels == 10 ? 9 : 10)"), "\(said)")
                #expect(said.contains(words), "\(words) in \(said)")
            }
        }
        #expect(try info(Self.golden("plain")).contains("samples take no label"))
    }

    @Test(.timeLimit(.minutes(5))) func saysWhatDoesNotFit() async throws {
        try await inTemporaryFolder { folder in
            let golden = Self.golden("classes"), broken = folder.appending(path: "broken")
            let inputs = golden.appending(path: "golden.safetensors").path
            let out = folder.appending(path: "out.safetensors").path
            try FileManager.default.copyItem(at: golden, to: broken)
            let weights = broken.appending(path: "diffusion_pytorch_model.safetensors")
            var bytes = try Data(contentsOf: weights)
            bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0xc0, 0x7f])
            try bytes.write(to: weights)
            func expect(_ words: String, _ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation)
                throws
            {
                let run = try CommandRun.of(CommandRun.binaries.appending(path: "collafuse"), ["model"] + arguments)
                #expect(
                    run.status != 0 && run.output.contains("Error: "), "\(run.output)", sourceLocation: sourceLocation)
                #expect(run.output.contains(words), "\(run.output)", sourceLocation: sourceLocation)
            }
            func call(_ model: URL, _ input: String = inputs, _ more: String...) -> [String] {
                ["run", "--model", model.path, "--input", input, "--output", out] + more
            }
            try expect("config.json", call(folder))
            try expect("NaN", call(broken))
            try expect("'class_labels'", call(golden, Self.golden("plain").appending(path: "golden.safetensors").path))
            try expect("Cannot read", call(golden, "/gone"))
            try expect("There is no cuda:7", call(golden, inputs, "--device", "cuda:7"))
            try expect("dtype", call(golden, inputs, "--dtype", "int8"))
            try expect("no version", ["export", "--registry", folder.path, "--out", out])
            #expect(!FileManager.default.fileExists(atPath: out))
        }
    }

    /// A model of latents, with numbers of its own for its schedule: the topology says them, `keys run` signs them.
    @Test(.timeLimit(.minutes(5))) func latentsWithAScheduleOfTheirOwn() async throws {
        let scene = try DeploymentScene(), made = scene.folder.appending(path: "latent")
        let topology = """
            run: {name: latents, cut: 500, image: [4, 8, 8], labels: [a, b, c, d],
                  schedule: {kind: scaled_linear, start: 0.0015, end: 0.0195}, backbone: {channels: [8, 16], layers: 1}}
            workers: [{name: denoiser, role: denoise}]
            clients: [{name: north, images: latents.safetensors, do: [sample]}]
            """
        try Data(topology.utf8).write(to: scene.folder.appending(path: "t.yaml"))
        let signed = try CommandRun.of(
            CommandRun.binaries.appending(path: "collafuse"), ["keys", "run", "t.yaml"],
            in: scene.folder)
        #expect(signed.status == 0 && signed.output.contains("latents  4×8×8"), "\(signed.output)")
        let id = try #require(signed.output.split(separator: " ").last).trimmingCharacters(in: .newlines)

        try FileManager.default.copyItem(at: Self.golden("classes"), to: made)
        func rewrite(_ name: String, _ changes: [(String, String)]) throws {
            let file = made.appending(path: name)
            var text = try String(contentsOf: file, encoding: .utf8)
            for (old, new) in changes {
                #expect(text.contains(old), "\(old) in \(name)")
                text = text.replacing(old, with: new)
            }
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        try rewrite(
            "config.json",
            [("\"in_channels\": 1", "\"in_channels\": 4"), ("\"out_channels\": 1", "\"out_channels\": 4")])
        try rewrite(
            "scheduler_config.json",
            [
                ("0.0001", "0.0015"), ("\"beta_end\": 0.02", "\"beta_end\": 0.0195"),
                ("squaredcos_cap_v2", "scaled_linear"),
            ])
        let weights = made.appending(path: "diffusion_pytorch_model.safetensors")
        var archive = SafetensorsArchive(metadata: ["format": "pt"])
        let shapes = ["conv_in.weight": [8, 4, 3, 3], "conv_out.weight": [4, 8, 3, 3], "conv_out.bias": [4]]
        for entry in try SafetensorsArchive(contentsOf: weights).entries {
            try archive.append(
                shapes[entry.name].map { shape in
                    try .init(
                        name: entry.name, shape: shape, floats: Array(repeating: 0.01, count: shape.reduce(1, *)))
                } ?? entry)
        }
        try archive.write(to: weights)
        func taken(_ run: String) throws -> CommandRun {
            try model(
                "import", "--model", made.path, "--registry", scene.folder.appending(path: run).path, "--deployment",
                scene.keys.appending(path: "public").path, "--run", run)
        }
        let version = try taken(id)
        #expect(version.status == 0 && version.output.contains("version 1 of latents"), "\(version.output)")
        try rewrite("scheduler_config.json", [("0.0195", "0.012")])
        let other = try taken(id)
        #expect(other.status != 0 && other.output.contains("'beta_schedule'"), "\(other.output)")
    }

    /// In by the operator's hand, out again, and the same numbers.
    @Test(.timeLimit(.minutes(5))) func throughTheRegistry() async throws {
        let scene = try DeploymentScene()
        let registry = scene.folder.appending(path: "registry"), out = scene.folder.appending(path: "exported")
        let golden = Self.golden("classes")
        let deployment = scene.keys.appending(path: "public").path
        let refused = try model(
            "import", "--model", golden.path, "--registry", registry.path, "--deployment", deployment)
        #expect(refused.status != 0 && refused.output.contains("class embeddings"), "\(refused.output)")
        // Of the run's 10 labels, and one row for none.
        let fitting = scene.folder.appending(path: "fitting")
        try FileManager.default.copyItem(at: golden, to: fitting)
        let config = fitting.appending(path: "config.json")
        let text = try String(contentsOf: config, encoding: .utf8)
        try text.replacing("\"num_class_embeds\": 5", with: "\"num_class_embeds\": 11")
            .write(to: config, atomically: true, encoding: .utf8)
        let weights = fitting.appending(path: "diffusion_pytorch_model.safetensors")
        var archive = SafetensorsArchive(metadata: ["format": "pt"])
        for entry in try SafetensorsArchive(contentsOf: weights).entries {
            let isTable = entry.name == "class_embedding.weight"
            try archive.append(
                isTable ? .init(name: entry.name, shape: [11, 32], floats: Array(repeating: 0.5, count: 352)) : entry)
        }
        try archive.write(to: weights)
        let taken = try model(
            "import", "--model", fitting.path, "--registry", registry.path, "--deployment", deployment)
        #expect(taken.status == 0 && taken.output.contains("version 1"), "\(taken.output)")
        let given = try model("export", "--registry", registry.path, "--out", out.path)
        #expect(given.status == 0, "\(given.output)")
        #expect(
            try SafetensorsArchive(contentsOf: out.appending(path: weights.lastPathComponent))
                == SafetensorsArchive(contentsOf: weights))
    }
}

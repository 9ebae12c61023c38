import Foundation
import Safetensors
import Testing

/// `collafuse sample` from outside, on a tiny model that diffusers sampled too (`Tests/Goldens/samplers.py`).
@Suite struct LocalSampleTests {
    private static let model = CommandRun.repository.appending(path: "Tests/Goldens/samplers/trained")

    private func sample(
        _ arguments: String..., labels: String = "3,7,10", model: URL = model, in folder: URL
    ) throws -> CommandRun {
        try CommandRun.of(
            CommandRun.binaries.appending(path: "collafuse"),
            ["sample", "--model", model.path, "--labels", labels] + arguments, in: folder,
            environment: ["OMP_NUM_THREADS": "1"])
    }

    /// Numbers that no chain, machine or model has are answered with words, never with a trap.
    @Test(.timeLimit(.minutes(5))) func numbersThatCannotBe() async throws {
        try await inTemporaryFolder { folder in
            func expect(
                _ words: String, from run: CommandRun, sourceLocation: SourceLocation = #_sourceLocation
            ) {
                #expect(
                    run.status == 64 || run.status == 1 || run.status == 65, "\(run.status): \(run.output)",
                    sourceLocation: sourceLocation)
                #expect(
                    run.output.contains("Error: ") && run.output.contains(words), "\(run.output)",
                    sourceLocation: sourceLocation)
            }
            let silent = folder.appending(path: "silent")
            try FileManager.default.copyItem(at: Self.model, to: silent)
            try Data(#"{"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}"#.utf8).write(
                to: silent.appending(path: "scheduler_config.json"))
            for labels in ["1-99999999999", "9223372036854775807", "7-3", "1--2", "1-2-3"] {
                expect("is no label", from: try sample("--local", "--out", "o", labels: labels, in: folder))
            }
            for (words, options, model) in [
                ("--eta is ddim's", ["--sampler", "ddpm", "--eta", "0"], Self.model),
                ("--eta", ["--sampler", "heun", "--eta", "0.5"], Self.model),
                (
                    "--use-clipped-model-output is ddim's", ["--sampler", "euler", "--use-clipped-model-output"],
                    Self.model
                ),
                ("--steps-offset", ["--spacing", "trailing", "--steps-offset", "1"], Self.model),
                // Which is linspace where the file is silent.
                ("--steps-offset", ["--sampler", "dpm-solver++", "--steps-offset", "1"], silent),
            ] {
                let run = try CommandRun.of(
                    CommandRun.binaries.appending(path: "collafuse"),
                    ["sample", "--local", "--model", model.path, "--labels", "1", "--out", "o"] + options, in: folder)
                #expect(run.status == 64 && run.output.contains(words), "\(run.status): \(run.output)")
            }
            let most = "\(Int.max)"
            expect(
                "steps_offset",
                from: try sample("--local", "--out", "o", "--spacing", "leading", "--steps-offset", most, in: folder))
            expect("\(Int.min)", from: try sample("--local", "--out", "o", "--to=\(Int.min)", in: folder))
            expect("1…1000", from: try sample("--local", "--out", "o", "--from=\(Int.min)", in: folder))
            expect("ask for 1 to 1000", from: try sample("--local", "--out", "o", "--steps", most, in: folder))
            expect("there is no folder", from: try sample("--local", "--out", "gone/o", in: folder))
            expect("it is a folder", from: try sample("--local", "--out", ".", in: folder))
            let huge = folder.appending(path: "huge"), config = huge.appending(path: "config.json")
            try FileManager.default.copyItem(at: Self.model, to: huge)
            let text = try String(contentsOf: config, encoding: .utf8)
            let changed = text.replacing("\"sample_size\": 8", with: "\"sample_size\": 1000000")
            #expect(changed != text)
            try changed.write(to: config, atomically: true, encoding: .utf8)
            expect("sample_size", from: try sample("--local", "--out", "o", labels: "1", model: huge, in: folder))
            // A network that is far too large for its weights takes no memory before that is seen.
            try text.replacing(/"block_out_channels": \[[^\]]*\]/, with: "\"block_out_channels\": [8192, 8192]")
                .write(to: config, atomically: true, encoding: .utf8)
            expect("has the shape", from: try sample("--local", "--out", "o", labels: "1", model: huge, in: folder))
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "o").path))
        }
    }

    @Test(.timeLimit(.minutes(5))) func drawsWhatDiffusersDraws() async throws {
        try await inTemporaryFolder { folder in
            let golden = try SafetensorsArchive(contentsOf: Self.model.appending(path: "golden.safetensors"))
            var noise = SafetensorsArchive()
            try noise.append(golden.entry("x_T"))
            try noise.write(to: folder.appending(path: "noise.safetensors"))
            for sampler in ["ddim", "dpm-solver++"] {
                let run = try sample(
                    "--local", "--sampler", sampler, "--noise", "noise.safetensors", "--out", "out.safetensors",
                    in: folder)
                #expect(run.status == 0, "\(run.output)")
                let drawn = try SafetensorsArchive(contentsOf: folder.appending(path: "out.safetensors"))
                let truth = try golden.floats(sampler, shape: [3, 1, 8, 8])
                let ours = try drawn.floats("sample", shape: [3, 1, 8, 8])
                #expect(zip(ours, truth).allSatisfy { abs($0 - $1) < 1e-3 }, "\(sampler)")
            }
        }
    }

    @Test(.timeLimit(.minutes(5))) func drawsFromASeedAndSaysWhatItCannot() async throws {
        try await inTemporaryFolder { folder in
            func drawn(seed: String) throws -> [Float] {
                let run = try sample(
                    "--local", "--sampler", "euler", "--steps", "4", "--count", "3", "--seed", seed, "--out", "o",
                    in: folder)
                #expect(run.status == 0, "\(run.output)")
                return try SafetensorsArchive(contentsOf: folder.appending(path: "o")).floats("sample")
            }
            let first = try drawn(seed: "1")
            #expect(try drawn(seed: "1") == first && drawn(seed: "2") != first)
            let remote = try sample("--out", "p", in: folder)
            #expect(remote.status == 64 && remote.output.contains("collafuse client sample"), "\(remote.output)")
            let unknown = try sample("--local", "--sampler", "dimm", "--out", "p", in: folder)
            #expect(unknown.status != 0 && unknown.output.contains("did you mean ddim?"), "\(unknown.output)")
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "p").path))
        }
    }
}

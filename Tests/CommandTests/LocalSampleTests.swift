import Foundation
import Safetensors
import Testing

/// `collafuse sample` from outside, on a tiny model that diffusers sampled too (`Tests/Goldens/samplers.py`).
@Suite struct LocalSampleTests {
    private static let model = CommandRun.repository.appending(path: "Tests/Goldens/samplers/trained")

    private func sample(_ arguments: String..., in folder: URL) throws -> CommandRun {
        try CommandRun.of(
            CommandRun.binaries.appending(path: "collafuse"),
            ["sample", "--model", Self.model.path, "--labels", "3,7,10"] + arguments, in: folder,
            environment: ["OMP_NUM_THREADS": "1"])
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

import Foundation
import Safetensors
import Testing

/// A backbone that looks at text, from `model import` to pictures: broker, worker and two clients are processes.
@Suite struct TextSampleTests {
    /// Without labels: a prompt says what a sample is to show.
    private static let topology = """
        run: {name: prompts, cut: 500, image: [1, 8, 8], backbone: {channels: [16, 32], layers: 1}}
        workers: [{name: trainer, role: train}, {name: denoiser, role: denoise}]
        clients: [{name: north, images: digits}, {name: south, images: digits}]
        """

    /// diffusers' own with one channel of its two, on the run's schedule.
    private func model(in folder: URL) throws -> URL {
        let goldens = CommandRun.repository.appending(path: "Tests/Goldens")
        let model = folder.appending(path: "text-model"), weights = "diffusion_pytorch_model.safetensors"
        try FileManager.default.copyItem(at: goldens.appending(path: "unet-text"), to: model)
        let scheduler = model.appending(path: "scheduler_config.json")
        try FileManager.default.removeItem(at: scheduler)
        try FileManager.default.copyItem(
            at: goldens.appending(path: "samplers/trained/scheduler_config.json"), to: scheduler)
        let config = model.appending(path: "config.json")
        try String(contentsOf: config, encoding: .utf8)
            .replacing(/"(in|out)_channels": 2/, with: { "\"\($0.1)_channels\": 1" })
            .write(to: config, atomically: true, encoding: .utf8)
        var archive = SafetensorsArchive(metadata: ["format": "pt"])
        for entry in try SafetensorsArchive(contentsOf: model.appending(path: weights)).entries {
            func part(_ shape: [Int], _ values: [Float]) throws {
                try archive.append(.init(name: entry.name, shape: shape, floats: values))
            }
            switch entry.name {
            case "conv_in.weight":
                let values = try entry.floats()
                try part([4, 1, 3, 3], (0..<4).flatMap { Array(values[18 * $0..<18 * $0 + 9]) })
            case "conv_out.weight": try part([1, 4, 3, 3], Array(entry.floats().prefix(36)))
            case "conv_out.bias": try part([1], Array(entry.floats().prefix(1)))
            default: try archive.append(entry)
            }
        }
        try archive.write(to: model.appending(path: weights))
        return model
    }

    /// Embeddings [prompts, 5, width].
    private func text(_ name: String, prompts: Int, width: Int = 6, seed: Float, in folder: URL) throws -> String {
        let shape = [prompts, 5, width], url = folder.appending(path: "\(name).safetensors")
        var archive = SafetensorsArchive()
        try archive.append(
            .init(
                name: "encoder_hidden_states", shape: shape,
                floats: (0..<shape.reduce(1, *)).map { 2 * sin(Float($0) * 0.7 + seed) }))
        try archive.write(to: url)
        return url.path
    }

    @Test(
        "prompts lead samples through a real broker and worker; one that cannot be looked at is its client's matter alone"
    )
    func promptsLead() async throws {
        let scene = try DeploymentScene(Self.topology), folder = scene.folder
        let taken = try CommandRun.of(
            CommandRun.binaries.appending(path: "collafuse"),
            ["model", "import", "--model", model(in: folder).path, "--registry", "models"] + scene.deployment,
            in: folder)
        try #require(taken.status == 0, "\(taken.output)")
        _ = try scene.broker()
        let endpoints = try await scene.endpoints()
        _ = try scene.denoiser("denoiser", at: endpoints)
        for name in ["north", "south"] {
            let head = try await scene.client("train", at: endpoints.clients, as: name, "--for", "64", "--batch", "32")
                .end()
            try #require(head.status == 0, "\(head.output)")
        }
        let prompts = try text("prompts", prompts: 3, seed: 1, in: folder)
        func sample(_ text: String, as name: String, out: String) throws -> CommandRun.Running {
            try scene.client(
                "sample", at: endpoints.clients, as: name, "--out", out, "--per-label", "2", "--steps", "6", "--seed",
                "5",
                "--guidance", "2", "--text", text)
        }
        func drawn(_ out: String) throws -> (atCut: [Float], images: [Float]) {
            let archive = try SafetensorsArchive(
                contentsOf: folder.appending(path: out).appending(path: "samples.safetensors"))
            return (
                try archive.floats("at_cut", shape: [4, 1, 8, 8]), try archive.floats("images", shape: [4, 1, 8, 8])
            )
        }
        // One whose text is too wide, beside one that is good: they share a worker.
        let good = try sample(prompts, as: "north", out: "good")
        let wrong = try await sample(text("wide", prompts: 3, width: 7, seed: 1, in: folder), as: "south", out: "wrong")
            .end()
        #expect(
            wrong.status != 0 && wrong.output.contains("wants `text` [N or 1, S, 6], not [.., 5, 7]"), "\(wrong.output)"
        )
        #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "wrong/samples.safetensors").path))
        let end = try await good.end()
        try #require(end.status == 0, "\(end.output)")
        let first = try drawn("good")
        #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "good/unseen.safetensors").path))
        #expect(FileManager.default.fileExists(atPath: folder.appending(path: "good/grid.png").path))
        #expect(first.images.allSatisfy { $0.isFinite && abs($0) <= 1.5 })
        // The client that was refused goes on; its noise of the same seed is the same, and other prompts are other samples.
        let other = try await sample(text("others", prompts: 3, seed: 2, in: folder), as: "south", out: "other").end()
        try #require(other.status == 0, "\(other.output)")
        let again = try await sample(prompts, as: "south", out: "again").end()
        try #require(again.status == 0, "\(again.output)")
        func difference(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).map { abs($0 - $1) }.max() ?? 9 }
        let same = try difference(first.atCut, drawn("again").atCut)
        let others = try difference(first.atCut, drawn("other").atCut)
        #expect(others > 20 * same && others > 1e-3, "\(same) and \(others)")
        let info = try CommandRun.of(
            CommandRun.binaries.appending(path: "collafuse"),
            ["model", "info", "--model", folder.appending(path: "models/v00000001").path])
        #expect(info.output.contains("embeddings of 6 values"), "\(info.output)")
    }
}

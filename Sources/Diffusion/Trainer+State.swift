package import Safetensors
internal import Torch

extension Trainer {
    /// Where training stands: network, average, optimiser and counts. Timesteps, labels and noise are drawn by step number, so training
    /// that goes on from here is the training that was not interrupted.
    package func state() throws -> SafetensorsArchive {
        var archive = SafetensorsArchive(metadata: [
            "steps": "\(steps)", "images": "\(images)", "averaged": "\(average.updates)",
        ])
        for (prefix, part) in parts {
            for entry in try part.state().entries {
                try archive.append(
                    .init(name: prefix + entry.name, type: entry.type, shape: entry.shape, bytes: entry.bytes))
            }
        }
        return archive
    }

    /// - Throws: `badModel` when the state is not that of such a training.
    package mutating func load(_ state: SafetensorsArchive) throws {
        guard let steps = state.metadata["steps"].flatMap(Int.init),
            let images = state.metadata["images"].flatMap(Int.init),
            let averaged = state.metadata["averaged"].flatMap(Int.init)
        else { throw DiffusionError(.badModel, "the file holds no state of training") }
        for (prefix, part) in parts { try part.load(state, prefix: prefix) }
        self.steps = steps
        self.images = images
        average.updates = averaged
    }

    private var parts: [(String, any Module)] {
        [("network.", denoiser.network), ("average.", average.network), ("optimiser.", optimiser)]
    }
}

package import Chain
package import Torch

/// Samples on their way: x_t [N, C, H, W] with the timestep t of each row.
///
/// Made from noise, from masked images, by a step of a sampler, or from what another party sent; never from private images.
package struct ChainState {
    package let x: Tensor
    package let timesteps: [Int]

    init(x: Tensor, timesteps: [Int]) {
        self.x = x
        self.timesteps = timesteps
    }

    /// x_T, pure noise of the chain, each sample from its own seed and number.
    ///
    /// - Parameter imageShape: [C, H, W]
    package init(noiseFor samples: [(seed: UInt64, number: UInt32)], imageShape: [Int], on schedule: Schedule) {
        let top = schedule.timesteps
        let values = samples.flatMap { sample in
            CounterRandom(seed: sample.seed).noise(
                imageShape: imageShape, on: schedule, sample: sample.number, timestep: UInt32(top), purpose: .start)
        }
        self.init(x: Tensor(values, shape: [samples.count] + imageShape), timesteps: samples.map { _ in top })
    }

    /// Masked images as a place to start from.
    package init(_ masked: MaskedImages) {
        self.init(x: masked.x, timesteps: Array(repeating: masked.cut.timestep, count: masked.count))
    }

    /// What the other half of the chain sent: x at the cut from a worker, or a start or checkpoint from a client.
    ///
    /// - Throws: `badImages` unless it has the run's shape and is finite.
    package init(received x: Tensor, at timesteps: [Int], imageShape: [Int]) throws(DiffusionError) {
        try check(x, imageShape: imageShape)
        guard timesteps.count == x.size(0) else {
            throw DiffusionError(.badImages, "\(timesteps.count) timesteps came with \(x.size(0)) samples")
        }
        self.init(x: x.to(.float32), timesteps: timesteps)
    }

    package var count: Int { timesteps.count }
}

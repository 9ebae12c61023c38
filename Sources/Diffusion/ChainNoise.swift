package import Chain
package import Torch

/// The noise of a chain: ε + o·n, white noise and, where the schedule has offset noise, one number for each channel of an image.
///
///     Cov = I + o²·11ᵀ in each channel                 docs/maths.md (2.5)
///
/// All noise of a run is of this kind: masks, the trainers' and the samplers'. Were one of them white, the identity behind the
/// backbone's loss would not hold.
extension Schedule {
    /// Normals that the noise of an image takes.
    func normalsPerImage(_ imageShape: [Int]) -> Int {
        imageShape.reduce(1, *) + (offsetNoise == 0 ? 0 : imageShape[0])
    }

    /// - Parameter normals: those of one image: its values in row-major order, then one for each channel.
    func noise(_ normals: [Float], imageShape: [Int]) -> [Float] {
        let values = imageShape.reduce(1, *)
        guard offsetNoise != 0 else { return normals }
        let pixels = values / imageShape[0], offset = Float(offsetNoise)
        return (0..<values).map { normals[$0] + offset * normals[values + $0 / pixels] }
    }
}

extension CounterRandom {
    /// The chain's noise for one image. Of a schedule without offset noise these are the `normals` of the same name.
    ///
    /// - Parameter imageShape: [C, H, W]
    package func noise(
        imageShape: [Int], on schedule: Schedule, sample: UInt32 = 0, timestep: UInt32, purpose: Purpose
    ) -> [Float] {
        schedule.noise(
            normals(schedule.normalsPerImage(imageShape), sample: sample, timestep: timestep, purpose: purpose),
            imageShape: imageShape)
    }

    /// The chain's noise for a batch [N, C, …] from one draw.
    package func noise(like batch: Tensor, on schedule: Schedule, timestep: UInt32, purpose: Purpose) -> Tensor {
        let shape = batch.shape, count = batch.count
        var noise = Tensor(normals(count, timestep: timestep, purpose: purpose), shape: shape)
        if schedule.offsetNoise != 0 {
            let rows = shape[0] * shape[1]
            let offsets = Tensor(
                normals(rows, sample: 1, timestep: timestep, purpose: purpose),
                shape: [shape[0], shape[1]] + Array(repeating: 1, count: shape.count - 2))
            noise = noise + offsets * schedule.offsetNoise
        }
        return noise.to(batch.dtype).to(batch.device)
    }
}

package import Torch

/// Whether samples are copies of training images: their distance to the nearest of those, beside that to the nearest of
/// as many images of the same kind that the model never saw.
///
/// A model that has learnt the distribution gives samples that are as near to the one as to the other; one that repeats
/// its training images gives samples with a distance of about 0 to them.
package struct Memorisation: Hashable, Sendable {
    /// Median over the samples of the Euclidean distance to the nearest training image, in the images' units.
    package let nearestTraining: Double
    /// The same for held-out images.
    package let nearestHeldOut: Double
    /// Share of the samples that are nearer to a training image than to any held-out one; .5 where nothing is
    /// memorised.
    package let shareNearerTraining: Double
    /// How many images there were on each side.
    package let references: Int

    /// All images [N, C, H, W]. The larger of the two sets is cut down to the size of the smaller by the seed, since
    /// more images are nearer images.
    package init(samples: Tensor, training: Tensor, heldOut: Tensor, seed: UInt64) throws(EvaluationError) {
        let kinds = [samples, training, heldOut].map { Array($0.shape.dropFirst()) }
        guard kinds[0] == kinds[1], kinds[0] == kinds[2], [samples, training, heldOut].allSatisfy({ $0.size(0) > 0 })
        else {
            throw EvaluationError(
                .mismatch, "Samples \(samples), training \(training) and held-out images \(heldOut) do not compare.")
        }
        let count = min(training.size(0), heldOut.size(0))
        let random = CounterRandom(seed: seed)
        let distances = [training, heldOut].enumerated().map { side, images in
            var words = random.sequence(sample: UInt32(side), purpose: .evaluation)
            let rows = Array((0..<images.size(0)).shuffled(using: &words).prefix(count))
            let some = images.gathered(0, rows: Tensor(rows)).flattened(1)
            return inPieces(samples.flattened(1)) { $0.distances(to: some).min(1) }.doubles
        }
        references = count
        nearestTraining = median(distances[0])
        nearestHeldOut = median(distances[1])
        // An equal distance to both says nothing for either side.
        let nearer = zip(distances[0], distances[1]).reduce(0) { $0 + ($1.0 < $1.1 ? 1 : $1.0 == $1.1 ? 0.5 : 0) }
        shareNearerTraining = nearer / Double(samples.size(0))
    }
}

private func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

/// Losses by where on the chain they were measured, minus what no model can do anything about.
///
///     var report = LossReport(timesteps: 1000, buckets: 10)
///     report.add(loss.rows)
///     report.buckets[7].excess        // comparable with the ordinary DDPM loss at those timesteps
///
/// Of the backbone loss at t, the share 1 − λ of the noise that was in x_t already at the cut cannot be known from u:
///
///     E L = λ·E‖ε̂ − ε‖² + (1 − λ)·P                       docs/maths.md (3.4)
///
/// with P = 1 + o², the variance of the chain's noise. So L − (1 − λ)·P is λ times the ordinary loss, whatever the cut. ‖u‖² stands
/// in for its mean P, which removes most of the noise of the estimate. Over a bucket the report is Σ(L − ‖u‖² + λ·P)/Σλ. What remains is the model's error plus the part of
/// the ordinary loss that the data themselves set, as in any diffusion model.
package struct LossReport: Sendable, Codable, Equatable {
    /// One row of a batch.
    package struct Row: Hashable, Sendable {
        package let timestep: Int
        /// L, the mean over the row's values.
        package let loss: Double
        /// ‖u‖² over the number of values.
        package let noiseEnergy: Double
        /// λ
        package let addedShare: Double
        /// P
        package let noisePower: Double

        package init(timestep: Int, loss: Double, noiseEnergy: Double, addedShare: Double, noisePower: Double = 1) {
            self.timestep = timestep
            self.loss = loss
            self.noiseEnergy = noiseEnergy
            self.addedShare = addedShare
            self.noisePower = noisePower
        }
    }

    package struct Bucket: Sendable, Codable, Equatable {
        /// Timesteps first…last.
        package let first: Int
        package let last: Int
        package fileprivate(set) var rows = 0
        fileprivate var losses = 0.0
        fileprivate var floors = 0.0
        fileprivate var excesses = 0.0
        fileprivate var shares = 0.0

        /// Mean L; nil: nothing was measured.
        package var loss: Double? { rows == 0 ? nil : losses / Double(rows) }
        /// Mean (1 − λ)·P.
        package var floor: Double? { rows == 0 ? nil : floors / Double(rows) }
        /// Estimate of E‖ε̂ − ε‖², weighted by λ.
        package var excess: Double? { rows == 0 ? nil : excesses / shares }
    }

    package private(set) var buckets: [Bucket]
    private let timesteps: Int

    package init(timesteps: Int, buckets count: Int = 10) {
        self.timesteps = timesteps
        buckets = (0..<count).map { Bucket(first: $0 * timesteps / count + 1, last: ($0 + 1) * timesteps / count) }
    }

    package mutating func add(_ rows: [Row]) {
        for row in rows {
            let index = min(buckets.count - 1, (row.timestep * buckets.count - 1) / timesteps)
            buckets[index].rows += 1
            buckets[index].losses += row.loss
            buckets[index].floors += (1 - row.addedShare) * row.noisePower
            buckets[index].excesses += row.loss - row.noiseEnergy + row.addedShare * row.noisePower
            buckets[index].shares += row.addedShare
        }
    }

    /// Over the whole chain; nil: nothing was measured.
    package var excess: Double? {
        let shares = buckets.reduce(0) { $0 + $1.shares }
        return shares == 0 ? nil : buckets.reduce(0) { $0 + $1.excesses } / shares
    }
}

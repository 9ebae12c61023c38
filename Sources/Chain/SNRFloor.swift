internal import Foundation

/// How much noise an owner insists on: no image leaves with more signal than this.
///
///     let floor = try SNRFloor(decibels: 0)
///     floor.admits(cut, on: schedule)     // whether SNR(ζ) ≤ 1
///     floor.lowestCut(on: schedule)       // 497 of the cosine schedule's 1000
///
/// It is a signal-to-noise ratio and not a timestep, so that a doctored schedule cannot talk an image out of its owner.
package struct SNRFloor: Hashable, Sendable {
    /// An owner's limit on what one image's releases may show together, unless the owner sets another.
    package static let usualDecibels = 3.0

    /// The greatest signal-to-noise ratio that is admitted.
    package let snr: Double

    /// - Throws: `badExposure` unless `snr` is a number above 0.
    package init(snr: Double) throws(ChainError) {
        guard snr > 0, snr.isFinite else {
            throw ChainError(.badExposure, "a floor is a signal-to-noise ratio above 0, not \(snr)")
        }
        self.snr = snr
    }

    package init(decibels: Double) throws(ChainError) {
        try self.init(snr: pow(10, decibels / 10))
    }

    package func admits(_ cut: Cut, on schedule: Schedule) -> Bool { schedule.snr(cut.timestep) <= snr }

    /// The earliest cut that is admitted; nil when even T − 1 holds too much.
    package func lowestCut(on schedule: Schedule) -> Cut? {
        // The last timestep with more than `snr`, plus one; `timestep(atLeast:)` alone would do but for equality.
        let candidate = max(1, schedule.timestep(atLeast: snr))
        for timestep in candidate..<schedule.timesteps {
            if let cut = try? Cut(timestep, on: schedule), admits(cut, on: schedule) { return cut }
        }
        return nil
    }
}

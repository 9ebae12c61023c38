internal import Foundation

/// The exact forward step from timestep s to a later t: x_t = √r·x_s + √(1 − r)·u with u ~ N(0, I).
///
/// It is what the server does to a masked image (s = ζ) before it trains on it, and what a client does to a stored release
/// that is to be published again at a later cut. From s = 0 it is masking itself.
package struct ForwardStep: Hashable, Sendable {
    /// r = ᾱ_t/ᾱ_s: the signal kept from s to t.
    package let signal: Double
    /// 1 − r
    package let noise: Double
    /// λ = (1 − r)/(1 − ᾱ_t): the share of the noise in x_t that was added after s; 1 when s = 0.
    package let addedShare: Double
    /// 1 − λ = r·(1 − ᾱ_s)/(1 − ᾱ_t): the share that was there at s. It is the floor of the backbone loss: docs/maths.md (3.4).
    package let earlierShare: Double

    /// - Precondition: 0 ≤ s < t ≤ T.
    package init(from s: Int, to t: Int, on schedule: Schedule) {
        precondition(
            0 <= s && s < t && t <= schedule.timesteps, "a forward step leads from \(s) to a later timestep, not \(t)")
        let logRatio = schedule.logAlphaBar(t) - schedule.logAlphaBar(s)
        signal = exp(logRatio)
        noise = -expm1(logRatio)
        addedShare = noise / schedule.noiseShare(t)
        earlierShare = signal * schedule.noiseShare(s) / schedule.noiseShare(t)
    }

    /// √r
    package var signalScale: Double { signal.squareRoot() }
    /// √(1 − r)
    package var noiseScale: Double { noise.squareRoot() }
    /// √λ
    package var predictionScale: Double { addedShare.squareRoot() }
}

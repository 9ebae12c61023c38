internal import Foundation

/// What independent releases of one image give away together: their signal-to-noise ratios add up.
///
///     var exposure = Exposure()
///     exposure.add(snr: schedule.snr(500))
///     exposure.effectiveCut(on: schedule)             // 500
///     exposure.epsilon(delta: 1e-5, dimensions: 64)   // about 191: formally, no promise at all
///
/// A later release made from an earlier one by a ``ForwardStep`` gives away nothing new and is not added.
package struct Exposure: Hashable, Sendable {
    /// n
    package private(set) var releases = 0
    /// Σ SNR(ζ_i)
    package private(set) var totalSNR = 0.0

    package init() {}

    /// - Precondition: `snr` is that of a cut, so finite and not negative.
    package mutating func add(snr: Double) {
        precondition(snr >= 0 && snr.isFinite, "a release has a finite signal-to-noise ratio")
        releases += 1
        totalSNR += snr
    }

    /// ζ_eff = SNR⁻¹(Σ SNR(ζ_i)), rounded to the side that admits more exposure; 0: more than x_1 shows.
    package func effectiveCut(on schedule: Schedule) -> Int {
        releases == 0 ? schedule.timesteps : schedule.timestep(atLeast: totalSNR)
    }

    /// μ = 2·√(d·Σ SNR) of Gaussian differential privacy (Dong, Roth & Su 2019), replace-one, for d values in [−1, 1].
    package func mu(dimensions: Int) -> Double { 2 * (Double(dimensions) * totalSNR).squareRoot() }

    /// The least ε such that the releases are (ε, δ)-differentially private; infinite where Double ends.
    package func epsilon(delta: Double, dimensions: Int) -> Double {
        GaussianPrivacy(mu: mu(dimensions: dimensions)).epsilon(delta: delta)
    }
}

/// The trade between ε and δ for a Gaussian mechanism whose two closest outputs lie μ standard deviations apart.
package struct GaussianPrivacy: Hashable, Sendable {
    package let mu: Double

    package init(mu: Double) { self.mu = mu }

    /// δ(ε) = Φ(−ε/μ + μ/2) − e^ε·Φ(−ε/μ − μ/2): Balle & Wang 2018, Theorem 8.
    package func delta(epsilon: Double) -> Double {
        guard mu > 0 else { return 0 }
        let near = epsilon / mu - mu / 2, far = epsilon / mu + mu / 2
        // e^ε·φ(far) = φ(near), so e^ε·Φ(−far) = φ(near)·Φ(−far)/φ(far): no overflow at any ε.
        return max(0, upperTail(near) - density(near) * millsRatio(far))
    }

    /// The least ε ≥ 0 with δ(ε) ≤ `delta`, by bisection: δ falls strictly.
    package func epsilon(delta: Double) -> Double {
        guard mu.isFinite, delta > 0 else { return mu == 0 ? 0 : .infinity }
        if self.delta(epsilon: 0) <= delta { return 0 }
        var low = 0.0, high = 1.0
        while self.delta(epsilon: high) > delta {
            low = high
            high *= 2
        }
        for _ in 0..<200 where high - low > 1e-12 * high {
            let middle = (low + high) / 2
            if self.delta(epsilon: middle) > delta { low = middle } else { high = middle }
        }
        return high
    }

    /// Φ(−x)
    private func upperTail(_ x: Double) -> Double { erfc(x / 2.0.squareRoot()) / 2 }

    /// φ(x)
    private func density(_ x: Double) -> Double { exp(-x * x / 2) / (2 * Double.pi).squareRoot() }

    /// Φ(−x)/φ(x) for x > 0; by Laplace's continued fraction where the tail itself would underflow.
    private func millsRatio(_ x: Double) -> Double {
        if x < 10 { return upperTail(x) / density(x) }
        var fraction = x
        for level in stride(from: 40.0, through: 1, by: -1) { fraction = x + level / fraction }
        return 1 / fraction
    }
}

/// How a sample moves from timestep t to an earlier s, given what the network thinks of it.
package enum Sampler: Hashable, Sendable {
    /// Ancestral sampling from the posterior (Ho et al. 2020), over any stride.
    case ddpm
    /// Song et al. 2020, eq. 12; η = 0 draws no noise, η = 1 is `ddpm` wherever x̂_0 is not clipped.
    case ddim(eta: Double = 0)

    /// - Throws: `badSampler` unless η lies in 0…1.
    package func check() throws(ChainError) {
        if case .ddim(let eta) = self, !(0...1).contains(eta) {
            throw ChainError(.badSampler, "DDIM's eta must lie in 0…1, not be \(eta)")
        }
    }

    /// The step from t to s < t: docs/maths.md (5.2) and (5.3).
    package func step(from t: Int, to s: Int, on schedule: Schedule) -> StepCoefficients {
        let posterior = Posterior(of: s, given: t, on: schedule)
        switch self {
        case .ddpm:
            return StepCoefficients(
                x: posterior.meanFromX, image: posterior.meanFromImage, noise: posterior.variance.squareRoot())
        case .ddim(let eta):
            // √(1 − ᾱ_s − σ²)·ε̂ with ε̂ = (x_t − √ᾱ_t·x̂_0)/√(1 − ᾱ_t). Since σ² = η²·(1 − ᾱ_s)·λ, the root is taken of
            // (1 − ᾱ_s)·(1 − η²·λ): no difference of near equals.
            let added = ForwardStep(from: s, to: t, on: schedule).addedShare
            let direction = (schedule.noiseShare(s) * (1 - eta * eta * added) / schedule.noiseShare(t)).squareRoot()
            return StepCoefficients(
                x: direction, image: schedule.alphaBar(s).squareRoot() - direction * schedule.alphaBar(t).squareRoot(),
                noise: eta * posterior.variance.squareRoot())
        }
    }
}

/// x_s = x·x_t + image·x̂_0 + noise·z with z ~ N(0, I).
///
/// ε̂ does not occur: it is what x_t and x̂_0 leave of each other, so that it agrees with x̂_0 where that was clipped (diffusers'
/// `use_clipped_model_output`; measured on the digits, DDIM without it lost a point of label accuracy).
package struct StepCoefficients: Hashable, Sendable {
    package let x: Double
    package let image: Double
    package let noise: Double
}

/// q(x_s | x_t, x_0) = N(meanFromX·x_t + meanFromImage·x_0, variance·I) for s < t: docs/maths.md (2.4).
package struct Posterior: Hashable, Sendable {
    package let meanFromX: Double
    package let meanFromImage: Double
    package let variance: Double

    /// - Precondition: 0 ≤ s < t ≤ T.
    package init(of s: Int, given t: Int, on schedule: Schedule) {
        let forward = ForwardStep(from: s, to: t, on: schedule)
        let earlier = schedule.noiseShare(s), later = schedule.noiseShare(t)
        meanFromX = forward.signalScale * earlier / later
        meanFromImage = schedule.alphaBar(s).squareRoot() * forward.addedShare
        variance = earlier * forward.addedShare
    }
}

/// What is done to x̂_0 before it is used, so that a guess beyond the images' range [−1, 1] does not lead further away.
///
/// Never to x_t or x_ζ, which are noise to a good part and reach far beyond it.
package enum Threshold: Hashable, Sendable, Codable {
    /// Left as it is, which no ε-predictor survives near T, where x̂_0 = (x − √(1−ᾱ)·ε̂)/√ᾱ divides by 10⁻⁵.
    case none
    /// |x̂_0| ≤ bound.
    case clip(Double)
    /// s = the quantile of |x̂_0| within the sample, but in 1…maximum; x̂_0 is clipped at ±s and divided by s
    /// (Saharia et al. 2022, 2.3; diffusers' `thresholding`).
    case dynamic(quantile: Double, maximum: Double)

    /// - Throws: `badSampler` for a bound or quantile that cannot be.
    package func check() throws(ChainError) {
        switch self {
        case .none: return
        case .clip(let bound):
            guard bound > 0, bound.isFinite else {
                throw ChainError(.badSampler, "x̂_0 is clipped at a number above 0, not at \(bound)")
            }
        case .dynamic(let quantile, let maximum):
            guard quantile > 0, quantile <= 1, maximum >= 1, maximum.isFinite else {
                throw ChainError(
                    .badSampler,
                    "dynamic thresholding takes a quantile in (0, 1] and a maximum of 1 or more, not \(quantile) and \(maximum)"
                )
            }
        }
    }
}

internal import Foundation

/// What this client's images have given away so far, by its ledger.
public struct ExposureSummary: Codable, Hashable, Sendable {
    /// Images with at least one release.
    public var images: Int
    /// Independent releases of all of them.
    public var releases: Int
    /// Of the image that is exposed most, as all that follows.
    public var worstReleases: Int
    /// ζ_eff: one release at this cut would show as much.
    public var effectiveCut: Int
    /// Σ SNR in decibels, and the owner's limit on it.
    public var decibels: Double
    public var limitDecibels: Double
    /// Gaussian differential privacy, replace-one.
    public var mu: Double
    /// At δ = 1e-5.
    public var epsilon: Double

    public var text: String {
        guard images > 0 else { return "nothing has left this client" }
        return """
            \(releases) releases of \(images) images so far; the most exposed has \(worstReleases), \
            \(String(format: "%.1f", decibels)) dB (limit \(String(format: "%.1f", limitDecibels)) dB), ζ_eff = \(effectiveCut)
            formally μ = \(String(format: "%.1f", mu)), ε = \(String(format: "%.0f", epsilon)) at δ = 1e-5: no promise at all. \
            Labels left too. What masked images really give away is measured by attack, not by ε.
            """
    }
}

extension CollaFuseClient {
    /// What has left this client so far.
    public func exposure() async -> ExposureSummary {
        let report = await release.exposure()
        return ExposureSummary(
            images: report.images, releases: report.releases, worstReleases: report.worstReleases,
            effectiveCut: report.effectiveCut, decibels: report.worstDecibels, limitDecibels: report.limitDecibels,
            mu: report.mu, epsilon: report.epsilon)
    }
}

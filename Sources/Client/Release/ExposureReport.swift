internal import Chain
internal import Trust

/// What an owner's images have given away so far, formally. For images the formal ε says nothing at every cut that is of use:
/// measured attacks belong beside it.
package struct ExposureReport: Hashable, Sendable {
    /// Images with at least one release.
    package let images: Int
    /// Independent releases of all of them.
    package let releases: Int
    /// n, of the image that is exposed most. So are the figures below.
    package let worstReleases: Int
    /// Σ SNR in decibels.
    package let worstDecibels: Double
    /// ζ_eff: one release at this cut would show as much.
    package let effectiveCut: Int
    /// μ = 2·√(d·Σ SNR), Gaussian differential privacy, replace-one.
    package let mu: Double
    /// The least ε at `delta`.
    package let epsilon: Double
    package let delta: Double
    /// The owner's limit on Σ SNR, in decibels.
    package let limitDecibels: Double
}

extension Release {
    /// - Parameter delta: δ of (ε, δ)-differential privacy.
    package func exposure(delta: Double = 1e-5) -> ExposureReport {
        let ledger = ledger.exposure
        let worst = ledger.worst
        let values = run.descriptor.image.values
        return ExposureReport(
            images: ledger.exposures.count, releases: ledger.releases, worstReleases: worst.releases,
            worstDecibels: decibelValue(worst.totalSNR), effectiveCut: worst.effectiveCut(on: run.descriptor.schedule),
            mu: worst.mu(dimensions: values), epsilon: worst.epsilon(delta: delta, dimensions: values), delta: delta,
            limitDecibels: decibelValue(ledger.limit.snr))
    }
}

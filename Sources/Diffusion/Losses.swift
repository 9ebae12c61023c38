internal import Chain
package import Torch

/// The loss of one batch: what is minimised, and what each row says for the reports.
package struct BatchLoss {
    /// The mean over rows and values, each row with its weight, a scalar with its gradient.
    package let objective: Tensor
    /// For each row the mean over its values, unweighted.
    package let rows: [LossReport.Row]
}

/// What is done beyond the plain loss.
package struct LossOptions: Hashable, Sendable {
    /// γ: rows weigh min(1, γ/SNR(t)), docs/maths.md (3.6). nil: all weigh the same.
    package var minSNR: Double?
    /// Which rows a self-conditioned network sees its own estimate of; the others see zeros. Empty: none.
    package var selfConditioned: [Bool]

    package init(minSNR: Double? = nil, selfConditioned: [Bool] = []) {
        self.minSNR = minSNR
        self.selfConditioned = selfConditioned
    }

    /// w̃(t)
    func weight(at timestep: Int, on schedule: Schedule) -> Double {
        minSNR.map { min(1, $0 / schedule.snr(timestep)) } ?? 1
    }
}

/// The backbone's loss on masked images, which knows nothing of x_0: docs/maths.md (3.1)–(3.3).
///
///     x_t = √r·x_ζ + √(1−r)·u
///     L   = w̃(t)·‖√λ·ε̂(x_t, t, y) − u‖²
///
/// - Parameters:
///   - masked: x_ζ [N, C, H, W], rows of any clients and cuts.
///   - cuts: ζ of each row.
///   - timesteps: t > ζ of each row.
///   - labels: of each row, 0…C, dropped already where they are to be dropped.
///   - noise: u [N, C, H, W], noise of the chain, the server's own.
package func backboneLoss<Network>(
    _ denoiser: Denoiser<Network>, masked: Tensor, cuts: [Int], timesteps: [Int], labels: [Int], noise: Tensor,
    options: LossOptions = LossOptions()
) -> BatchLoss {
    scoreMatchingLoss(denoiser, masked, since: cuts, timesteps, labels, noise, options)
}

/// The head's loss on the client's own images: ordinary ε-prediction for t in 1…ζ, docs/maths.md (4.1).
///
///     x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·ε
///     L   = w̃(t)·‖ε̂(x_t, t, y) − ε‖²
///
/// Other parameters as for ``backboneLoss``.
package func headLoss<Network>(
    _ denoiser: Denoiser<Network>, images: PrivateImages, timesteps: [Int], labels: [Int], noise: Tensor,
    options: LossOptions = LossOptions()
) -> BatchLoss {
    scoreMatchingLoss(denoiser, images.x, since: timesteps.map { _ in 0 }, timesteps, labels, noise, options)
}

/// Both in one: an image is masked at 0, where λ = 1.
private func scoreMatchingLoss<Network>(
    _ denoiser: Denoiser<Network>, _ x: Tensor, since origins: [Int], _ timesteps: [Int], _ labels: [Int], _ u: Tensor,
    _ options: LossOptions
) -> BatchLoss {
    let steps = zip(origins, timesteps).map { ForwardStep(from: $0, to: $1, on: denoiser.schedule) }
    let noised = x * x.perRow(steps.map(\.signalScale)) + u * x.perRow(steps.map(\.noiseScale))
    let estimate = denoiser.firstEstimate(noised, at: timesteps, labels: labels, of: options.selfConditioned)
    let predicted = denoiser.noise(noised, at: timesteps, labels: labels, estimate: estimate)
    let losses = (predicted * x.perRow(steps.map(\.predictionScale)) - u).square().rowMeans()
    let values = losses.detached().doubles, energies = u.square().rowMeans().doubles
    let rows = timesteps.indices.map { row in
        LossReport.Row(
            timestep: timesteps[row], loss: values[row], noiseEnergy: energies[row], addedShare: steps[row].addedShare,
            noisePower: denoiser.schedule.noisePower)
    }
    let weights = timesteps.map { options.weight(at: $0, on: denoiser.schedule) }
    let weighted = options.minSNR == nil ? losses : losses * losses.perRow(weights)
    return BatchLoss(objective: weighted.mean(), rows: rows)
}

/// Labels with some forgotten, so that the model also learns what images look like in general.
///
/// - Parameter none: the label for "none"; nil where the network has no row for it: nothing is dropped.
package func dropLabels(
    _ labels: [Int], to none: Int?, probability: Double = 0.1, using generator: inout some RandomNumberGenerator
) -> [Int] {
    guard let none else { return labels }
    return labels.map { Double.random(in: 0..<1, using: &generator) < probability ? none : $0 }
}

internal import Chain
package import Torch

/// The loss of one batch: what is minimised, and what each row says for the reports.
package struct BatchLoss {
    /// The mean over rows and values, a scalar with its gradient.
    package let objective: Tensor
    /// For each row the mean over its values.
    package let rows: [LossReport.Row]
}

/// The backbone's loss on masked images, which knows nothing of x_0: docs/maths.md (3.1)–(3.3).
///
///     x_t = √r·x_ζ + √(1−r)·u
///     L   = ‖√λ·ε̂(x_t, t, y) − u‖²
///
/// - Parameters:
///   - masked: x_ζ [N, C, H, W], rows of any clients and cuts.
///   - cuts: ζ of each row.
///   - timesteps: t > ζ of each row.
///   - labels: of each row, 0…C, dropped already where they are to be dropped.
///   - noise: u ~ N(0, I) [N, C, H, W], the server's own.
package func backboneLoss<Network>(
    _ denoiser: Denoiser<Network>, masked: Tensor, cuts: [Int], timesteps: [Int], labels: [Int], noise: Tensor
) -> BatchLoss {
    scoreMatchingLoss(denoiser, masked, since: cuts, timesteps, labels, noise)
}

/// The head's loss on the client's own images: ordinary ε-prediction for t in 1…ζ, docs/maths.md (4.1).
///
///     x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·ε
///     L   = ‖ε̂(x_t, t, y) − ε‖²
///
/// Other parameters as for ``backboneLoss``.
package func headLoss<Network>(
    _ denoiser: Denoiser<Network>, images: PrivateImages, timesteps: [Int], labels: [Int], noise: Tensor
) -> BatchLoss {
    scoreMatchingLoss(denoiser, images.x, since: timesteps.map { _ in 0 }, timesteps, labels, noise)
}

/// Both in one: an image is masked at 0, where λ = 1.
private func scoreMatchingLoss<Network>(
    _ denoiser: Denoiser<Network>, _ x: Tensor, since origins: [Int], _ timesteps: [Int], _ labels: [Int], _ u: Tensor
) -> BatchLoss {
    let steps = zip(origins, timesteps).map { ForwardStep(from: $0, to: $1, on: denoiser.schedule) }
    let noised = x * x.perRow(steps.map(\.signalScale)) + u * x.perRow(steps.map(\.noiseScale))
    let predicted = denoiser.noise(noised, at: timesteps, labels: labels)
    let losses = (predicted * x.perRow(steps.map(\.predictionScale)) - u).square().rowMeans()
    let values = losses.detached().doubles, energies = u.square().rowMeans().doubles
    let rows = timesteps.indices.map { row in
        LossReport.Row(
            timestep: timesteps[row], loss: values[row], noiseEnergy: energies[row], addedShare: steps[row].addedShare)
    }
    return BatchLoss(objective: losses.mean(), rows: rows)
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

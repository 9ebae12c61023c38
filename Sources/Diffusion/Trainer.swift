package import Chain
package import Torch

/// A network in training: AdamW, clipping, a warm-up and the moving average that is sampled from. Backbone and head share it.
///
///     var trainer = Trainer(denoiser, average: UNet(configuration, &zeros), TrainerOptions(), seed: 7)
///     let outcome = trainer.trainHead(images, labels: labels, cut: cut)
///     trainer.averaged.sample(…)
package struct TrainerOptions: Hashable, Sendable, Codable {
    package var learningRate = 2e-3
    /// Steps over which the learning rate rises from 0.
    package var warmUp = 50
    package var beta2 = 0.99
    package var weightDecay = 0.01
    /// Greatest norm of all gradients together.
    package var clip = 1.0
    /// Limit of the moving average's decay, which is shorter at first.
    package var averageDecay = 0.995
    package var batch = 64
    package var labelDropout = 0.1
    /// γ of min-SNR weighting (Hang et al. 2023, arXiv 2303.09556; 5 is usual): docs/maths.md (3.6). nil: none.
    package var minSNR: Double?
    /// How often a self-conditioned network is shown its own estimate.
    package var selfConditioning = 0.5

    package var precision = Precision.single

    /// What a training step computes in. Parameters, their gradients and the optimiser are float32 in both.
    package enum Precision: String, Hashable, Sendable, Codable, CaseIterable {
        case single
        /// Convolutions and products of matrices in bfloat16: docs/benchmarks.md says what it gains and what becomes of the loss.
        case mixed

        var dtype: DType? { self == .mixed ? .bfloat16 : nil }
    }

    package init() {}

    /// - Parameter origin: above which timestep training happens: the lowest cut, or 0.
    /// - Throws: `badConfig` for a min-SNR that is no number above 0, or one that no timestep of this training reaches.
    package func check(on schedule: Schedule, above origin: Int) throws(DiffusionError) {
        guard let minSNR else { return }
        guard minSNR > 0, minSNR.isFinite else {
            throw DiffusionError(.badConfig, "min-SNR must be above 0 (5 is usual), not \(minSNR)")
        }
        let highest = schedule.snr(origin + 1)
        guard minSNR < highest else {
            throw DiffusionError(
                .badConfig,
                "a min-SNR of \(minSNR) changes nothing above timestep \(origin), where the signal-to-noise ratio is at most \(highest): "
                    + "leave it out, or take less")
        }
    }
}

package struct Trainer<Network: DenoisingNetwork> {
    package let denoiser: Denoiser<Network>
    package let options: TrainerOptions
    /// Steps made, skipped ones included.
    package internal(set) var steps = 0
    /// Steps whose gradient was not finite and which changed nothing.
    package private(set) var skipped = 0
    /// Images shown; those of skipped steps count too, or training that diverges would never come to its end.
    package internal(set) var images = 0
    private(set) var optimiser: AdamW
    var average: MovingAverage<Network>
    private let random: CounterRandom

    /// - Parameters:
    ///   - copy: a network of the same structure, which becomes the average.
    ///   - seed: of timesteps, label dropout and noise. No mask is ever made of it.
    package init(
        _ denoiser: Denoiser<Network>, average copy: Network, _ options: TrainerOptions = TrainerOptions(), seed: UInt64
    ) {
        self.denoiser = denoiser
        self.options = options
        // Convolutions in bfloat16 are fastest so; in float32 it makes no difference.
        for network in [denoiser.network, copy] { network.convert(format: .channelsLast) }
        optimiser = AdamW(
            denoiser.network, learningRate: options.learningRate, betas: (0.9, options.beta2),
            weightDecay: options.weightDecay)
        average = MovingAverage(of: denoiser.network, in: copy, decay: .ramped(limit: options.averageDecay))
        random = CounterRandom(seed: seed)
    }

    /// The averaged network: for sampling and for saving.
    package var averaged: Denoiser<Network> { denoiser.with(average.network) }

    /// One step by the backbone loss.
    ///
    /// - Parameters:
    ///   - masked: x_ζ [N, C, H, W], rows of any clients and cuts.
    ///   - cuts: ζ of each row.
    ///   - timesteps: t > ζ of each row.
    ///   - labels: of each row, 0…C.
    package mutating func trainBackbone(
        masked: Tensor, cuts: [Int], timesteps: [Int], labels: [Int]
    ) -> [LossReport.Row] {
        let labels = dropped(labels), loss = lossOptions(timesteps.count)
        return advance(timesteps.count) { denoiser, noise in
            backboneLoss(
                denoiser, masked: masked, cuts: cuts, timesteps: timesteps, labels: labels, noise: noise, options: loss)
        } noiseLike: {
            masked
        }
    }

    /// One step by the head loss, on images drawn evenly and timesteps spread over 1…ζ.
    ///
    /// - Parameter labels: of all images, 0…C.
    package mutating func trainHead(_ images: PrivateImages, labels: [Int], cut: Cut) -> [LossReport.Row] {
        precondition(labels.count == images.count, "every image has a label, if only the one for none")
        var generator = random.sequence(sample: 0, timestep: UInt32(truncatingIfNeeded: steps), purpose: .training)
        let rows = (0..<options.batch).map { _ in Int.random(in: 0..<images.count, using: &generator) }
        let timesteps = (0..<options.batch).map { part in
            let position = (Double(part) + Double.random(in: 0..<1, using: &generator)) / Double(options.batch)
            return min(cut.timestep, 1 + Int(position * Double(cut.timestep)))
        }
        let batch = images.rows(rows), labels = dropped(rows.map { labels[$0] }), loss = lossOptions(rows.count)
        return advance(rows.count) { denoiser, noise in
            headLoss(denoiser, images: batch, timesteps: timesteps, labels: labels, noise: noise, options: loss)
        } noiseLike: {
            batch.x
        }
    }

    private func dropped(_ labels: [Int]) -> [Int] {
        var generator = random.sequence(sample: 1, timestep: UInt32(truncatingIfNeeded: steps), purpose: .training)
        let none = denoiser.labels > 0 && denoiser.knowsNone ? denoiser.labels : nil
        return dropLabels(labels, to: none, probability: options.labelDropout, using: &generator)
    }

    private func lossOptions(_ count: Int) -> LossOptions {
        guard denoiser.network.isSelfConditioned else { return LossOptions(minSNR: options.minSNR) }
        var generator = random.sequence(sample: 2, timestep: UInt32(truncatingIfNeeded: steps), purpose: .training)
        let shown = (0..<count).map { _ in Double.random(in: 0..<1, using: &generator) < options.selfConditioning }
        return LossOptions(minSNR: options.minSNR, selfConditioned: shown)
    }

    private mutating func advance(
        _ count: Int, _ loss: (Denoiser<Network>, Tensor) -> BatchLoss, noiseLike x: () -> Tensor
    ) -> [LossReport.Row] {
        let noise = random.noise(
            like: x(), on: denoiser.schedule, timestep: UInt32(truncatingIfNeeded: steps), purpose: .trainingNoise)
        steps += 1
        images += count
        optimiser.learningRate = options.learningRate * min(1, Double(steps) / Double(max(1, options.warmUp)))
        let batch = withMixedPrecision(options.precision.dtype) { loss(denoiser, noise) }
        optimiser.dropGradients()
        batch.objective.backward()
        if optimiser.clipGradients(to: options.clip).isFinite {
            optimiser.step()
            average.update()
        } else {
            skipped += 1
        }
        return batch.rows
    }
}

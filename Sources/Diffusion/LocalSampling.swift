package import Chain
package import Torch

/// Samples made here, by one model for the whole chain or a part of it: for looking at a model, and for comparing with other software.
///
/// What is not told is as diffusers' scheduler of the same name has it when it is made from the model's own `scheduler_config.json`;
/// betas that the file leaves out are those of the class that it names, whichever sampler is asked for.
package struct LocalSampling {
    package struct Settings {
        package var sampler = Sampler.Name.ddim
        package var steps = 50
        package var eta = 0.0
        /// Whether DDIM takes ε̂ from the thresholded x̂_0: diffusers' `use_clipped_model_output`.
        package var usesClippedOutput = false
        package var spacing: TimestepSpacing?
        package var stepsOffset: Int?
        package var threshold: Threshold?
        package var prediction: Prediction?
        /// Where x stands, 1…T; nil: at T, or where diffusers' list begins.
        package var from: Int?
        package var to = 0
        package var guidance = 1.0
        /// One for all samples, or one for each: of classes, or of prompts.
        package var labels: [Int]?
        /// Embeddings of prompts [P, S, D] for a network that looks at text; the last is the empty prompt if samples are guided.
        package var prompts: Tensor?

        package init() {}
    }

    private let network: UNet
    private let denoiser: Denoiser<ChainUNet>
    private let settings: Settings
    package let sampler: Sampler
    package let timesteps: TimestepList
    package let threshold: Threshold

    /// - Throws: `ChainError` or `DiffusionError` for settings that this model, or no model, can be sampled with.
    package init(_ model: ModelDirectory, _ settings: Settings) throws {
        network = model.network
        let chain = try ChainUNet(network, prompts: settings.prompts), rows = chain.classEmbeddings ?? 0
        // Of rows whose meaning nobody wrote down, the last is "none" if guidance is to lead away from it.
        let labels = model.record?.labels ?? (rows > 0 && SamplePlan.isGuided(settings.guidance) ? rows - 1 : rows)
        denoiser = try Denoiser(
            chain, on: model.schedule, predicting: settings.prediction ?? model.prediction, labels: labels)
        try denoiser.check(guidance: settings.guidance)
        self.settings = settings
        let told = model.scheduler.sampling
        try told.check(for: settings.sampler)
        switch settings.sampler {
        case .ddpm: sampler = .ddpm(variance: try Self.variance(told.variance))
        case .ddim:
            let isWhole = settings.from == nil && settings.to == 0 && settings.steps > 0
            sampler = .ddim(
                eta: settings.eta, rawNoise: !settings.usesClippedOutput,
                stride: isWhole && settings.steps <= model.schedule.timesteps
                    ? model.schedule.timesteps / settings.steps : nil, end: told.end)
        case .dpmSolver: sampler = .dpmSolver
        case .euler: sampler = .euler
        case .heun: sampler = .heun(fromNoise: true)
        }
        try sampler.check(on: model.schedule)
        threshold = settings.threshold ?? told.threshold(for: settings.sampler)
        try threshold.check()
        let top = model.schedule.timesteps
        guard (1...top).contains(settings.from ?? top) else {
            throw ChainError(
                .badTimesteps,
                "the chain ends at T = \(top): samples begin at one of 1…\(top), not at \(settings.from ?? top)")
        }
        timesteps = try TimestepList(
            from: settings.from ?? top, to: settings.to, steps: settings.steps,
            spacing: settings.spacing ?? told.spacing(for: settings.sampler),
            offset: settings.stepsOffset ?? told.stepsOffset,
            for: settings.sampler, raised: settings.from != nil)
    }

    /// From given noise, which decides everything.
    ///
    /// - Returns: [N, C, H, W] in the noise's type, on the CPU.
    /// - Throws: `badNoise` where it does not fit the model or the sampler.
    package func samples(_ noise: GivenNoise, progress: (Double) -> Void = { _ in }) throws -> Tensor {
        let plans = try plans(noise.start.size(0), seed: 0)
        try check(imageShape: Array(noise.start.shape.dropFirst()))
        let wanted = steps(thatDrawNoise: plans)
        guard noise.steps >= wanted else {
            throw DiffusionError(
                .badNoise,
                "\(settings.sampler.rawValue) over \(timesteps.steps) steps adds noise in \(wanted) of them, and the file holds that of \(noise.steps): add noise [\(wanted), N, C, H, W], or leave --noise out and let --seed draw it"
            )
        }
        return try run(plans, progress) {
            (
                noise.start.to(network.device),
                wanted == 0 ? nil : (0..<wanted).map { noise.step($0).to(network.device) }
            )
        }
    }

    /// From noise drawn here.
    ///
    /// - Parameter imageShape: [C, H, W]; nil: the model's own.
    package func samples(seed: UInt64, count: Int, progress: (Double) -> Void = { _ in }) throws -> Tensor {
        let configuration = network.configuration
        guard let size = configuration.sampleSize else {
            throw DiffusionError(.badNoise, "the model's config.json names no sample_size: give the start with --noise")
        }
        let shape = [configuration.outChannels] + size
        try configuration.checkSampleSize()
        // In Double: a foreign file may name any size.
        guard shape.reduce(Double(count), { $0 * Double($1) }) <= Double(Self.mostValues) else {
            throw DiffusionError(
                .badNoise,
                "\(count) samples of \(shape.map(String.init).joined(separator: "×")) have more than the \(Self.mostValues) values "
                    + "that are drawn at once: ask for fewer, or look at sample_size in the model's \(ModelDirectory.configFile)"
            )
        }
        let plans = try plans(count, seed: seed)
        return try run(plans, progress) {
            let noise = ChainState(
                noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: shape, on: denoiser.schedule)
            return (noise.x.to(network.device), nil)
        }
    }

    /// 4 GiB of float32.
    private static let mostValues = 1 << 30

    /// - Parameter start: makes x where the samples begin, and the noise of the steps if it is not to be drawn.
    private func run(
        _ plans: [SamplePlan], _ progress: (Double) -> Void, from start: () -> (x: Tensor, noise: [Tensor]?)
    ) throws -> Tensor {
        let x = try TorchError.catching {
            let (x, noise) = start()
            // Any tensor serves for a step that draws none.
            let padded = noise.map { given in (0..<timesteps.steps).map { given[min($0, given.count - 1)] } }
            return denoiser.sample(
                from: ChainState(x: x, timesteps: plans.map { _ in timesteps.start }), plans, noise: padded,
                progress: progress
            ).state.x.to(Device.cpu)
        }
        guard x.isFinite else {
            throw DiffusionError(
                .badNoise, "the samples are no numbers: use more steps, less guidance, or --threshold clip")
        }
        return x
    }

    private func plans(_ count: Int, seed: UInt64) throws -> [SamplePlan] {
        let rows = denoiser.network.classEmbeddings
        // A sample for each prompt, or one prompt for all.
        let prompts = settings.prompts == nil ? nil : denoiser.labels
        let implied = rows == nil || prompts == 1 ? [0] : prompts == count ? Array(0..<count) : nil
        guard let labels = settings.labels ?? implied else {
            throw DiffusionError(
                .badLabels,
                "this model has classes, or prompts: name one for all samples, or one for each of them, with --labels")
        }
        guard labels.count == 1 || labels.count == count else {
            throw DiffusionError(.badLabels, "\(labels.count) labels for \(count) samples: give one, or one for each")
        }
        try denoiser.check(labels: labels)
        return (0..<count).map { number in
            SamplePlan(
                seed: seed, number: UInt32(number), label: labels[labels.count == 1 ? 0 : number], timesteps: timesteps,
                sampler: sampler, guidance: settings.guidance, threshold: threshold)
        }
    }

    private func check(imageShape: [Int]) throws(DiffusionError) {
        let configuration = network.configuration
        let side = 1 << (configuration.blockOutChannels.count - 1)
        guard imageShape[0] == configuration.outChannels, imageShape[1...].allSatisfy({ $0.isMultiple(of: side) })
        else {
            throw DiffusionError(
                .badNoise,
                "the model takes x_T [N, \(configuration.outChannels), H, W] with sides divisible by \(side), not \(imageShape.map(String.init).joined(separator: "×"))"
            )
        }
    }

    private func steps(thatDrawNoise plans: [SamplePlan]) -> Int {
        guard let plan = plans.first, sampler.isStochastic else { return 0 }
        let last = (0..<plan.passes).last {
            plan.pass($0).coefficients(on: denoiser.schedule, predicting: denoiser.prediction).noise != 0
        }
        return last.map { plan.pass($0).step + 1 } ?? 0
    }

    private static func variance(_ name: String) throws(DiffusionError) -> Sampler.Variance {
        switch name {
        case "fixed_small", "fixed_small_log": return .small
        case "fixed_large": return .large
        case "fixed_large_log":
            throw DiffusionError(
                .badConfig,
                "\(ModelDirectory.schedulerFile): key 'variance_type': fixed_large_log is NaN in diffusers, the root of a logarithm below 0: say fixed_large"
            )
        default:
            throw DiffusionError(
                .badConfig,
                "\(ModelDirectory.schedulerFile): key 'variance_type': DDPM takes fixed_small or fixed_large here, not \(name)"
            )
        }
    }
}

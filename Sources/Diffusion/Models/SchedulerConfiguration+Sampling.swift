package import Chain

// How a file's scheduler steps. What is silent is read as diffusers reads it, by the class that the file names or by that of the sampler
// that is asked for; what would step otherwise than ours is not passed over.

extension SchedulerConfiguration {
    /// Those of all schedulers that are known, and what diffusers once wrote.
    static let keys: Set<String> = [
        "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
        "rescale_betas_zero_snr", "timestep_spacing", "steps_offset", "clip_sample", "clip_sample_range",
        "thresholding",
        "dynamic_thresholding_ratio", "sample_max_value", "variance_type", "set_alpha_to_one", "predict_epsilon",
        // Looked at below.
        "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "use_flow_sigmas",
        "use_dynamic_shifting", "solver_order", "solver_type", "algorithm_type", "final_sigmas_type",
        "lambda_min_clipped", "interpolation_type", "timestep_type",
        // Of no effect where those have their usual values: the last step is of the first order in any case.
        "lower_order_final", "euler_at_final", "sigma_min", "sigma_max", "flow_shift", "time_shift_type",
        "shift_terminal",
        // Of schedulers that are none of our samplers, or of no effect at all.
        "skip_prk_steps", "predict_x0", "disable_corrector", "solver_p", "tensor_format",
    ]

    static func sampling(_ object: ConfigObject, _ family: Family) throws(DiffusionError) -> Sampling {
        var sampling = Sampling(family: family)
        sampling.toldSpacing = try object.choice("timestep_spacing")
        sampling.stepsOffset = try object.integer("steps_offset", from: 0) ?? 0
        sampling.toldClips = try object.flag("clip_sample")
        sampling.clipRange = try object.number("clip_sample_range") ?? 1
        if try object.flag("thresholding") == true {
            sampling.thresholding = Sampling.Thresholding(
                quantile: try object.number("dynamic_thresholding_ratio") ?? 0.995,
                maximum: try object.number("sample_max_value") ?? 1)
        }
        sampling.variance = try object.string("variance_type") ?? sampling.variance
        sampling.end = try object.flag("set_alpha_to_one") == false ? 1 : 0
        sampling.unsupported = try unsupported(object)
        return sampling
    }

    private static func unsupported(_ object: ConfigObject) throws(DiffusionError) -> [Sampling.Unsupported] {
        var found: [Sampling.Unsupported] = []
        func refuse(_ key: String, for samplers: [Sampler.Name], unless isUsual: Bool) {
            guard !isUsual else { return }
            found.append(.init(key: key, value: object.describe(key), samplers: samplers))
        }
        func refuse(_ key: String, for samplers: [Sampler.Name], unless usual: String...) throws(DiffusionError) {
            let value = try object.string(key)
            refuse(key, for: samplers, unless: value.map(usual.contains) ?? true)
        }
        for key in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
            refuse(key, for: [.dpmSolver, .euler, .heun], unless: try object.flag(key) != true)
        }
        for key in ["use_lu_lambdas", "use_flow_sigmas", "use_dynamic_shifting"] {
            refuse(key, for: [.dpmSolver], unless: try object.flag(key) != true)
        }
        // diffusers takes another ᾱ_T than 0 there.
        refuse(
            "rescale_betas_zero_snr", for: [.dpmSolver, .euler, .heun],
            unless: try object.flag("rescale_betas_zero_snr") != true)
        refuse("solver_order", for: [.dpmSolver], unless: try object.integer("solver_order") ?? 2 == 2)
        refuse(
            "lambda_min_clipped", for: [.dpmSolver],
            unless: try object.number("lambda_min_clipped") ?? -.infinity == -.infinity)
        try refuse("algorithm_type", for: [.dpmSolver], unless: "dpmsolver++")
        // diffusers takes UniPC's words for the midpoint too.
        try refuse("solver_type", for: [.dpmSolver], unless: "midpoint", "logrho", "bh1", "bh2")
        try refuse("final_sigmas_type", for: [.dpmSolver, .euler], unless: "zero")
        try refuse("interpolation_type", for: [.euler], unless: "linear")
        try refuse("timestep_type", for: [.euler], unless: "discrete")
        return found
    }
}

extension SchedulerConfiguration.Sampling {
    /// As diffusers' scheduler of this name has it when it is made from the file.
    package func spacing(for sampler: Sampler.Name) -> TimestepSpacing {
        toldSpacing ?? ([.ddpm, .ddim].contains(sampler) ? .leading : .linspace)
    }

    /// Likewise: not each knows every key.
    package func threshold(for sampler: Sampler.Name) -> Threshold {
        if let thresholding, [.ddpm, .ddim, .dpmSolver].contains(sampler) {
            return .dynamic(quantile: thresholding.quantile, maximum: thresholding.maximum)
        }
        switch sampler {
        case .ddpm, .ddim: return toldClips ?? true ? .clip(clipRange) : .none
        case .heun: return toldClips ?? false ? .clip(clipRange) : .none
        case .dpmSolver, .euler: return .none
        }
    }

    /// - Throws: `badConfig` where the file's scheduler steps in a way that this sampler does not know.
    func check(for sampler: Sampler.Name) throws(DiffusionError) {
        guard let found = unsupported.first(where: { $0.samplers.contains(sampler) }) else { return }
        throw DiffusionError(
            .badConfig,
            "\(ModelDirectory.schedulerFile): key '\(found.key)': \(found.value) is not done here by \(sampler.rawValue): "
                + "take another sampler, or leave the key out")
    }
}

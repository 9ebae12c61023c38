package import Chain

/// The `scheduler_config.json` of a diffusers scheduler: schedule, what the network predicts, and how its maker sampled from it.
///
/// Schedulers that differ in how they step share their keys for the chain itself. What a chain is made of is read from any that is
/// known; how it is stepped is the job's to say, and `Sampling` only reports what the file says.
///
/// diffusers has no name for every schedule: those it lacks are written as their table of β, which it takes as well, beside
/// keys of our own that say what the table is. What was read from a file is written as it was, key by key.
package struct SchedulerConfiguration: Hashable, Sendable {
    /// Schedulers that step along a variance-preserving chain of ᾱ; others are refused.
    package enum Family: String, Sendable, CaseIterable {
        case ddpm = "DDPMScheduler"
        case ddim = "DDIMScheduler"
        case dpmSolver = "DPMSolverMultistepScheduler"
        case euler = "EulerDiscreteScheduler"
        case heun = "HeunDiscreteScheduler"
        case pndm = "PNDMScheduler"
        case lms = "LMSDiscreteScheduler"
        case eulerAncestral = "EulerAncestralDiscreteScheduler"
        case unipc = "UniPCMultistepScheduler"

        /// Whether its timesteps are leading unless it is told otherwise; else they are spread evenly.
        var counts: Bool { [.ddpm, .ddim, .pndm].contains(self) }
        /// Whether it clips x̂_0 unless it is told otherwise.
        var clips: Bool { [.ddpm, .ddim].contains(self) }
    }

    /// How its maker sampled, by diffusers' defaults where the file is silent.
    package struct Sampling: Hashable, Sendable {
        package var family = Family.ddpm
        /// nil: the file is silent.
        var toldSpacing: TimestepSpacing?
        /// Added to diffusers' timesteps where the spacing is leading.
        package var stepsOffset = 0
        /// nil: the file is silent.
        var toldClips: Bool?
        var clipRange = 1.0
        /// Dynamic thresholding: the quantile of |x̂_0|, and its greatest value; nil: none.
        package var thresholding: Thresholding?
        /// DDPM's `variance_type`.
        package var variance = "fixed_small"
        /// Where DDIM's last step leads: to the image, or to t = 1 without `set_alpha_to_one`.
        package var end = 0
        /// What some of our samplers do not do.
        package var unsupported: [Unsupported] = []

        package var spacing: TimestepSpacing { toldSpacing ?? (family.counts ? .leading : .linspace) }
        /// Greatest |x̂_0|; nil: not clipped.
        package var clip: Double? { toldClips ?? family.clips ? clipRange : nil }

        /// A key with a value by which diffusers' schedulers of these names step otherwise than ours.
        package struct Unsupported: Hashable, Sendable {
            package let key: String
            package let value: String
            package let samplers: [Sampler.Name]
        }

        package struct Thresholding: Hashable, Sendable {
            package let quantile: Double
            package let maximum: Double

            package init(quantile: Double, maximum: Double) {
                self.quantile = quantile
                self.maximum = maximum
            }
        }
    }

    package let schedule: Schedule
    package let prediction: Prediction
    package let sampling: Sampling
    /// What the file says; nil: there was none.
    private let source: [String: JSONValue]?

    package init(schedule: Schedule, prediction: Prediction) {
        self.schedule = schedule
        self.prediction = prediction
        sampling = Sampling(toldSpacing: .trailing)
        source = nil
    }

    /// - Throws: `badConfig`, naming the key at fault.
    package init(json: String) throws(DiffusionError) {
        let object = try ConfigObject(json, name: ModelDirectory.schedulerFile)
        try object.allow(Self.keys)
        let family: Family = try object.choice("_class_name") ?? .ddpm
        guard let timesteps = try object.integer("num_train_timesteps") else {
            throw object.fault("num_train_timesteps", "it is missing")
        }
        if try object.flag("predict_epsilon") == false {
            throw object.fault("predict_epsilon", "it is diffusers' old word: say prediction_type, sample, instead")
        }
        let kind = try Self.kind(object, family, timesteps), isRescaled = try object.flag(Self.rescaling) ?? false
        let offsetNoise = try object.number("_collafuse_offset_noise") ?? 0
        do {
            schedule = try Schedule(kind, timesteps: timesteps, offsetNoise: offsetNoise, isRescaled: isRescaled)
        } catch {
            let isTable = if case .table = kind { true } else { false }
            throw object.fault(isTable ? "trained_betas" : "beta_schedule", error.message)
        }
        prediction = try object.choice("prediction_type") ?? .epsilon
        do { try prediction.check(on: schedule) } catch {
            throw object.fault(isRescaled ? Self.rescaling : "prediction_type", error.message)
        }
        sampling = try Self.sampling(object, family)
        source = object.values
    }

    private static let rescaling = "rescale_betas_zero_snr"

    private static func kind(
        _ object: ConfigObject, _ family: Family, _ timesteps: Int
    ) throws(DiffusionError) -> Schedule.Kind {
        switch try object.string("_collafuse_schedule") {
        case "cosine":
            return .cosine(offset: try object.number("_collafuse_start") ?? .nan)
        case "sigmoid":
            return .sigmoid(
                start: try object.number("_collafuse_start") ?? .nan, end: try object.number("_collafuse_end") ?? .nan,
                tau: try object.number("_collafuse_tau") ?? .nan)
        case .some(let name):
            throw object.fault("_collafuse_schedule", "'\(name)' is not known here")
        case nil: break
        }
        // Where there is a table, diffusers looks at no other key.
        if let betas = try object.numbers("trained_betas") {
            guard betas.count == timesteps else {
                throw object.fault(
                    "trained_betas", "it has \(betas.count) values, and num_train_timesteps is \(timesteps)")
            }
            return .table(betas)
        }
        let isHeun = family == .heun  // whose defaults are Stable Diffusion's
        let start = try object.number("beta_start") ?? (isHeun ? 0.00085 : 1e-4)
        let end = try object.number("beta_end") ?? (isHeun ? 0.012 : 0.02)
        let kind: BetaSchedule = try object.choice("beta_schedule") ?? .linear
        switch kind {
        case .linear: return .linear(start: start, end: end)
        case .scaledLinear: return .scaledLinear(start: start, end: end)
        case .cosine: return .cosine()
        case .sigmoid: return .betaSigmoid(start: start, end: end)
        }
    }

    private enum BetaSchedule: String, CaseIterable {
        case linear
        case scaledLinear = "scaled_linear"
        case cosine = "squaredcos_cap_v2"
        case sigmoid
    }

    /// The file's own keys, or those of a `DDPMScheduler` with this schedule and prediction.
    package var json: String {
        if let source { return JSONValue.object(source).description }
        var keys: [String: JSONValue] = [
            "_class_name": .text("DDPMScheduler"),
            "clip_sample": .flag(true),
            "clip_sample_range": .number(1),
            "num_train_timesteps": .integer(schedule.timesteps),
            "prediction_type": .text(prediction.rawValue),
            "timestep_spacing": .text("trailing"),
            "variance_type": .text("fixed_small"),
        ]
        func own(_ name: String, _ parameters: [String: Double]) {
            // Rescaled ones stay as they are when they are rescaled again.
            keys["trained_betas"] = .list(schedule.betas.map(JSONValue.number))
            keys["_collafuse_schedule"] = .text(name)
            for (key, value) in parameters { keys["_collafuse_\(key)"] = .number(value) }
        }
        func betas(_ name: BetaSchedule, _ start: Double, _ end: Double) {
            keys["beta_schedule"] = .text(name.rawValue)
            keys["beta_start"] = .number(start)
            keys["beta_end"] = .number(end)
        }
        switch schedule.kind {
        case .linear(let start, let end): betas(.linear, start, end)
        case .scaledLinear(let start, let end): betas(.scaledLinear, start, end)
        case .cosine(let offset):
            keys["beta_schedule"] = .text(BetaSchedule.cosine.rawValue)
            if Schedule.Kind.cosine(offset: offset) != .cosine() { own("cosine", ["start": offset]) }
        case .sigmoid(let start, let end, let tau):
            own("sigmoid", ["start": start, "end": end, "tau": tau])
        case .betaSigmoid(let start, let end): betas(.sigmoid, start, end)
        case .table(let table): keys["trained_betas"] = .list(table.map(JSONValue.number))
        }
        if schedule.isRescaled { keys[Self.rescaling] = .flag(true) }
        if schedule.offsetNoise != 0 { keys["_collafuse_offset_noise"] = .number(schedule.offsetNoise) }
        return JSONValue.object(keys).description
    }
}

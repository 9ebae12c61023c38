package import Chain

/// The `scheduler_config.json` of a diffusers `DDPMScheduler`.
///
/// diffusers has no name for every schedule: those it lacks are written as their table of β, which it takes as well, beside
/// keys of our own that say what the table is.
package struct SchedulerConfiguration: Hashable, Sendable {
    package let schedule: Schedule
    package let prediction: Prediction

    package init(schedule: Schedule, prediction: Prediction) {
        self.schedule = schedule
        self.prediction = prediction
    }

    /// - Throws: `badConfig`, naming the key at fault.
    package init(json: String) throws(DiffusionError) {
        let object = try ConfigObject(json, name: ModelDirectory.schedulerFile)
        guard let timesteps = try object.integer("num_train_timesteps") else {
            throw object.fault("num_train_timesteps", "it is missing")
        }
        if try object.flag("rescale_betas_zero_snr") == true {
            throw object.fault("rescale_betas_zero_snr", "only false is supported here")
        }
        let kind: Schedule.Kind
        switch try object.string("_collafuse_schedule") {
        case "cosine":
            kind = .cosine(offset: try object.number("_collafuse_start") ?? .nan)
        case "sigmoid":
            kind = .sigmoid(
                start: try object.number("_collafuse_start") ?? .nan, end: try object.number("_collafuse_end") ?? .nan,
                tau: try object.number("_collafuse_tau") ?? .nan)
        case .some(let name):
            throw object.fault("_collafuse_schedule", "'\(name)' is not known here")
        case nil:
            try object.requireNull("trained_betas")
            switch try object.string("beta_schedule") ?? "linear" {
            case "linear":
                kind = .linear(
                    start: try object.number("beta_start") ?? 1e-4, end: try object.number("beta_end") ?? 0.02)
            case "squaredcos_cap_v2": kind = .cosine()
            case let name: throw object.fault("beta_schedule", "'\(name)' is not supported here")
            }
        }
        do { schedule = try Schedule(kind, timesteps: timesteps) } catch {
            throw object.fault("beta_schedule", error.message)
        }
        prediction = try object.choice("prediction_type") ?? .epsilon
        do { try prediction.check(on: schedule) } catch { throw object.fault("prediction_type", error.message) }
    }

    package var json: String {
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
            keys["trained_betas"] = .list(schedule.betas.map(JSONValue.number))
            keys["_collafuse_schedule"] = .text(name)
            for (key, value) in parameters { keys["_collafuse_\(key)"] = .number(value) }
        }
        switch schedule.kind {
        case .linear(let start, let end):
            keys["beta_schedule"] = .text("linear")
            keys["beta_start"] = .number(start)
            keys["beta_end"] = .number(end)
        case .cosine(let offset):
            keys["beta_schedule"] = .text("squaredcos_cap_v2")
            if Schedule.Kind.cosine(offset: offset) != .cosine() { own("cosine", ["start": offset]) }
        case .sigmoid(let start, let end, let tau):
            own("sigmoid", ["start": start, "end": end, "tau": tau])
        }
        return JSONValue.object(keys).description
    }
}

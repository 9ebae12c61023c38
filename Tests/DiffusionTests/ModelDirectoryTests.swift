import Chain
import Diffusion
import Foundation
import Safetensors
import Testing
import Torch

struct ModelDirectoryTests {
    private func scratch() -> URL {
        FileManager.default.temporaryDirectory.appending(path: "model-\(UUID().uuidString)")
    }

    private func model(kind: Schedule.Kind = .cosine(), prediction: Prediction = .epsilon, seed: UInt64 = 1) throws
        -> ModelDirectory
    {
        var configuration = UNetConfiguration()
        configuration.blockOutChannels = [8, 16]
        configuration.downBlocks = [.plain, .attention]
        configuration.upBlocks = [.attention, .plain]
        configuration.layersPerBlock = 1
        configuration.normGroups = 4
        configuration.inChannels = 1
        configuration.outChannels = 1
        configuration.sampleSize = [8, 8]
        configuration.classEmbeddings = 11
        var source = ParameterSource(seed: seed)
        return ModelDirectory(
            network: UNet(configuration, &source), schedule: try Schedule(kind, timesteps: 1000),
            prediction: prediction,
            record: ModelRecord(
                role: .backbone, version: 3, run: "ab", imagesSeen: 40_000, timesteps: 501...1000, labels: 10,
                trainedLabels: [0, 1, 9]))
    }

    @Test(arguments: [
        (Schedule.Kind.cosine(), Prediction.epsilon), (.cosine(offset: 0.02), .v),
        (.linear(start: 1e-4, end: 0.03), .sample),
        (.sigmoid(start: -3, end: 3, tau: 0.9), .epsilon), (.scaledLinear(), .epsilon),
        (.betaSigmoid(start: 2e-4, end: 0.03), .epsilon), (.table((1...1000).map { 1.7e-5 * Double($0) }), .sample),
    ])
    func comesBackAsItWas(kind: Schedule.Kind, prediction: Prediction) throws {
        let folder = scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let written = try model(kind: kind, prediction: prediction)
        try written.write(to: folder)
        let read = try ModelDirectory(contentsOf: folder)
        #expect(read.record == written.record)
        #expect(read.record?.lowestCut == 500)
        #expect(read.schedule == written.schedule && read.prediction == prediction)
        #expect(read.network.configuration == written.network.configuration)
        for (a, b) in zip(read.network.namedParameters, written.network.namedParameters) {
            #expect(a.key == b.key && a.tensor.floats == b.tensor.floats)
        }
        // Nothing is left beside it, and nothing is overwritten unasked.
        #expect { try written.write(to: folder) } throws: { ($0 as? DiffusionError)?.code == .badDirectory }
        try model(seed: 2).write(to: folder, replacing: true)
        #expect(
            try ModelDirectory(contentsOf: folder).network.parameters[0].floats != written.network.parameters[0].floats)
        let parent = try FileManager.default.contentsOfDirectory(atPath: folder.deletingLastPathComponent().path)
        #expect(!parent.contains { $0.hasPrefix(".\(folder.lastPathComponent)") })
    }

    @Test(arguments: [
        ModelDirectory.configFile, ModelDirectory.weightsFile, ModelDirectory.schedulerFile,
    ])
    func missingAndTruncatedFilesAreNamed(file: String) throws {
        let folder = scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        try model().write(to: folder)
        let url = folder.appending(path: file)
        let content = try Data(contentsOf: url)
        try content.prefix(content.count / 2).write(to: url)
        #expect { try ModelDirectory(contentsOf: folder) } throws: { $0 is DiffusionError }
        try FileManager.default.removeItem(at: url)
        #expect { try ModelDirectory(contentsOf: folder) } throws: {
            (($0 as? DiffusionError)?.message.contains(file)) == true
        }
    }

    @Test func weightsMustBeWholeAndFinite() throws {
        let folder = scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let sound = try model()
        try sound.write(to: folder)
        let url = folder.appending(path: ModelDirectory.weightsFile)
        func rewrite(_ change: (SafetensorsArchive.Entry) throws -> SafetensorsArchive.Entry?) throws {
            var archive = SafetensorsArchive(metadata: ["format": "pt"])
            for entry in try sound.network.state().entries {
                if let changed = try change(entry) { try archive.append(changed) }
            }
            try archive.write(to: url)
        }
        let key = "mid_block.resnets.0.conv1.bias"
        func refused() throws {
            #expect { try ModelDirectory(contentsOf: folder) } throws: {
                let error = $0 as? DiffusionError
                return error?.code == .badModel && error?.message.contains(key) == true
            }
        }
        try rewrite { $0.name == key ? nil : $0 }
        try refused()
        try rewrite {
            $0.name == key ? try .init(name: key, shape: [16], floats: [Float](repeating: .nan, count: 16)) : $0
        }
        try refused()
        try rewrite {
            $0.name == key ? try .init(name: key, shape: [15], floats: [Float](repeating: 0, count: 15)) : $0
        }
        try refused()
        try rewrite {
            $0.name == key ? try .init(name: key, shape: [16], floats: [Float](repeating: 0, count: 16)) : $0
        }
        _ = try ModelDirectory(contentsOf: folder)
    }

    @Test func aModelThatDivergedIsNotWritten() throws {
        let folder = scratch()
        let broken = try model()
        withoutGradients { broken.network.parameters[0].fill(.nan) }
        #expect { try broken.write(to: folder) } throws: { ($0 as? DiffusionError)?.code == .badModel }
        #expect(!FileManager.default.fileExists(atPath: folder.path))
    }

    @Test(arguments: [
        ("beta_schedule", "\"laplace\""), ("_class_name", "\"FlowMatchEulerDiscreteScheduler\""),
        ("timestep_spacing", "\"karras\""), ("_collafuse_offset_noise", "-1"), ("prediction_type", "\"flow\""),
        ("num_train_timesteps", "1"),
        ("rescale_betas_zero_snr", "true"), ("trained_betas", "[0.1, 0.2]"), ("predict_epsilon", "false"),
        ("use_karas_sigmas", "false"), ("set_alpha_to_one", "1"), ("use_karras_sigmas", "\"yes\""),
        ("solver_order", "0"),
    ])
    func schedulersThatAreNotKnownAreRefused(key: String, value: String) throws {
        let text = try String(
            contentsOf: goldens("unet-classes").appending(path: "scheduler_config.json"), encoding: .utf8)
        var object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        object[key] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        let spoilt = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        #expect { try SchedulerConfiguration(json: spoilt) } throws: {
            let error = $0 as? DiffusionError
            // What a chain cannot be made of is said of its schedule.
            let named = ["_collafuse_offset_noise", "num_train_timesteps"].contains(key) ? "beta_schedule" : key
            return error?.code == .badConfig && error?.message.contains("'\(named)'") == true
        }
    }

    /// Keys by which diffusers' schedulers step otherwise than our samplers of the same name: these refuse, the others go on.
    @Test(arguments: [
        ("use_karras_sigmas", "true", [Sampler.Name.dpmSolver, .euler, .heun]),
        ("use_exponential_sigmas", "true", [.dpmSolver, .euler, .heun]),
        ("use_beta_sigmas", "true", [.dpmSolver, .euler, .heun]),
        ("use_lu_lambdas", "true", [.dpmSolver]), ("use_flow_sigmas", "true", [.dpmSolver]),
        ("use_dynamic_shifting", "true", [.dpmSolver]), ("solver_order", "3", [.dpmSolver]),
        ("solver_type", "\"heun\"", [.dpmSolver]), ("algorithm_type", "\"sde-dpmsolver++\"", [.dpmSolver]),
        ("final_sigmas_type", "\"sigma_min\"", [.dpmSolver, .euler]), ("lambda_min_clipped", "-5.1", [.dpmSolver]),
        ("interpolation_type", "\"log_linear\"", [.euler]), ("timestep_type", "\"continuous\"", [.euler]),
        // As diffusers' classes have them, or of no effect.
        ("use_karras_sigmas", "false", []), ("solver_order", "2", []), ("solver_type", "\"midpoint\"", []),
        ("solver_type", "\"bh2\"", []), ("algorithm_type", "\"dpmsolver++\"", []),
        ("final_sigmas_type", "\"zero\"", []), ("lambda_min_clipped", "-Infinity", []), ("skip_prk_steps", "true", []),
        ("lower_order_final", "false", []), ("euler_at_final", "true", []), ("predict_epsilon", "true", []),
        ("_note", "\"karras\"", []),
    ])
    func whatIsSteppedOtherwiseIsRefusedBySamplersThatKnowIt(
        key: String, value: String, refusing: [Sampler.Name]
    ) throws {
        let folder = scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        try model().write(to: folder)
        try #"{"_class_name": "DPMSolverMultistepScheduler", "num_train_timesteps": 1000, "\#(key)": \#(value)}"#
            .write(to: folder.appending(path: "scheduler_config.json"), atomically: true, encoding: .utf8)
        let model = try ModelDirectory(contentsOf: folder)
        for sampler in Sampler.Name.allCases {
            var settings = LocalSampling.Settings()
            settings.sampler = sampler
            do {
                _ = try LocalSampling(model, settings)
                #expect(!refusing.contains(sampler), "\(sampler) does not refuse \(key)")
            } catch {
                #expect(refusing.contains(sampler) && "\(error)".contains("'\(key)'"), "\(sampler): \(error)")
            }
        }
    }

    /// Models that say so, as Stable Diffusion 2's successors do: no ε, and none of the samplers whose ᾱ_T diffusers makes another.
    @Test func rescaledSchedules() throws {
        func json(_ prediction: String) -> String {
            """
            {"_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
             "beta_end": 0.012, "rescale_betas_zero_snr": true, "prediction_type": "\(prediction)", "timestep_spacing": "trailing"}
            """
        }
        #expect { try SchedulerConfiguration(json: json("epsilon")) } throws: {
            "\($0)".contains("'rescale_betas_zero_snr'") && "\($0)".contains("predict v")
        }
        let read = try SchedulerConfiguration(json: json("v_prediction"))
        #expect(read.schedule == (try Schedule(.scaledLinear(), timesteps: 1000, isRescaled: true)))
        let folder = scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        // Written anew it is the same.
        try ModelDirectory(network: model().network, schedule: read.schedule, prediction: .v, record: nil)
            .write(to: folder)
        let model = try ModelDirectory(contentsOf: folder)
        #expect(model.schedule == read.schedule)
        for sampler in Sampler.Name.allCases {
            var settings = LocalSampling.Settings()
            (settings.sampler, settings.labels, settings.steps) = (sampler, [3], 3)
            if [.ddpm, .ddim].contains(sampler) {
                #expect(try LocalSampling(model, settings).samples(seed: 1, count: 1).isFinite)
            } else {
                #expect { try LocalSampling(model, settings) } throws: {
                    "\($0)".contains("'rescale_betas_zero_snr'")
                }
            }
        }
    }

    /// DDPM's alone: the others take no notice of it.
    @Test func aVarianceThatIsNoNumberInDiffusersIsRefused() throws {
        let folder = scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        try model().write(to: folder)
        try Data(#"{"num_train_timesteps": 1000, "variance_type": "fixed_large_log"}"#.utf8).write(
            to: folder.appending(path: ModelDirectory.schedulerFile))
        let model = try ModelDirectory(contentsOf: folder)
        var settings = LocalSampling.Settings()
        _ = try LocalSampling(model, settings)
        settings.sampler = .ddpm
        #expect { try LocalSampling(model, settings) } throws: {
            "\($0)".contains("'variance_type'") && "\($0)".contains("NaN in diffusers")
        }
    }

    @Test func tablesOfBetasAreRead() throws {
        let betas = [0.1, 0.2, 0.3].map { "\($0)" }.joined(separator: ", ")
        let read = try SchedulerConfiguration(
            json: #"{"num_train_timesteps": 3, "trained_betas": [\#(betas)], "beta_schedule": "linear"}"#)
        #expect(read.schedule == (try Schedule(.table([0.1, 0.2, 0.3]), timesteps: 3)))
        for (text, words) in [("[0.1]", "has 1 values"), ("[0.1, 0, 0.2]", "β_2"), ("7", "a list of numbers")] {
            #expect {
                try SchedulerConfiguration(json: #"{"num_train_timesteps": 3, "trained_betas": \#(text)}"#)
            } throws: {
                "\($0)".contains("'trained_betas'") && "\($0)".contains(words)
            }
        }
    }

    /// What Python writes for numbers that are none, and what only looks like it.
    @Test func configsAsPythonWritesThem() throws {
        let text =
            #"{"num_train_timesteps": 1000, "lambda_min_clipped": -Infinity, "_a": [NaN, Infinity], "_\"-Infinity": "NaN"}"#
        _ = try SchedulerConfiguration(json: text)
        for config in [
            #"{"num_train_timesteps": 1000, "clip_sample_range": NaN}"#, #"{"num_train_timesteps": Infinity}"#,
        ] {
            #expect(throws: (any Error).self) {
                let scheduler = try SchedulerConfiguration(json: config)
                try scheduler.sampling.threshold(for: .ddpm).check()
            }
        }
        #expect { try SchedulerConfiguration(json: "{\"num_train_timesteps\": -Infinit}") } throws: {
            ($0 as? DiffusionError)?.message.contains("not a JSON object") == true
        }
    }

    /// A file that is silent is read as the sampler that is asked for reads it, in diffusers.
    @Test func silenceIsTheSamplersToFill() throws {
        let silent = try SchedulerConfiguration(json: #"{"_class_name": "DDPMScheduler", "num_train_timesteps": 1000}"#)
        #expect(
            Sampler.Name.allCases.map { silent.sampling.spacing(for: $0) } == [
                .leading, .leading, .linspace, .linspace, .linspace,
            ])
        #expect(
            Sampler.Name.allCases.map { silent.sampling.threshold(for: $0) } == [
                .clip(1), .clip(1), .none, .none, .none,
            ])
        let told = try SchedulerConfiguration(
            json:
                #"{"num_train_timesteps": 1000, "timestep_spacing": "trailing", "clip_sample": true, "clip_sample_range": 2}"#
        )
        #expect(Sampler.Name.allCases.allSatisfy { told.sampling.spacing(for: $0) == .trailing })
        #expect(
            Sampler.Name.allCases.map { told.sampling.threshold(for: $0) } == [
                .clip(2), .clip(2), .none, .none, .clip(2),
            ])
    }

    /// Whatever steps along it, the chain is the same; how its maker stepped is told by diffusers' defaults.
    @Test func schedulersOfOtherFamilies() throws {
        func read(_ json: String) throws -> SchedulerConfiguration { try SchedulerConfiguration(json: json) }
        let ddim = try read(
            #"{"_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "clip_sample": false, "steps_offset": 1}"#)
        #expect(ddim.schedule == (try Schedule(.linear(), timesteps: 1000)))
        #expect(ddim.sampling.family == .ddim && ddim.sampling.spacing == .leading)
        #expect(ddim.sampling.clip == nil && ddim.sampling.stepsOffset == 1)
        let solver = try read(
            #"{"_class_name": "DPMSolverMultistepScheduler", "num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "thresholding": true, "prediction_type": "v_prediction"}"#
        )
        #expect(solver.schedule == (try Schedule(.scaledLinear(), timesteps: 1000)) && solver.prediction == .v)
        #expect(solver.sampling.spacing == .linspace && solver.sampling.clip == nil)
        #expect(solver.sampling.thresholding == .init(quantile: 0.995, maximum: 1))
        let heun = try read(#"{"_class_name": "HeunDiscreteScheduler", "num_train_timesteps": 1000}"#)
        #expect(heun.schedule == (try Schedule(.linear(start: 0.00085, end: 0.012), timesteps: 1000)))
        let ddpm = try read(#"{"num_train_timesteps": 1000, "variance_type": "fixed_large", "clip_sample_range": 2}"#)
        #expect(ddpm.sampling.family == .ddpm && ddpm.sampling.variance == "fixed_large" && ddpm.sampling.clip == 2)
    }

    @Test func offsetNoiseIsPartOfTheModel() throws {
        let folder = scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let plain = try model()
        try ModelDirectory(
            network: plain.network, schedule: Schedule(.cosine(), timesteps: 1000, offsetNoise: 0.1),
            prediction: .epsilon, record: nil
        ).write(to: folder)
        #expect(try ModelDirectory(contentsOf: folder).schedule.offsetNoise == 0.1)
    }
}

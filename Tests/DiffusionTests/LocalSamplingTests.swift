import Chain
import Diffusion
import Foundation
import Safetensors
import Testing
import Torch

/// Sampling as `collafuse sample --local` does it, against diffusers (`Tests/Goldens/samplers.py`).
struct LocalSamplingTests {
    private let model: ModelDirectory
    private let golden: SafetensorsArchive

    init() throws {
        model = try ModelDirectory(contentsOf: goldens("samplers/trained"))
        golden = try SafetensorsArchive(contentsOf: goldens("samplers/trained/golden.safetensors"))
    }

    private func noise(_ entries: [String]) throws -> SafetensorsArchive {
        var archive = SafetensorsArchive()
        for name in entries { try archive.append(golden.entry(name)) }
        return archive
    }

    private func settings(_ sampler: Sampler.Name, labels: [Int] = [3, 7, 10]) -> LocalSampling.Settings {
        var settings = LocalSampling.Settings()
        settings.sampler = sampler
        settings.labels = labels
        return settings
    }

    /// With nothing told but the sampler: lists, thresholds and variance are what diffusers reads from the folder.
    @Test(arguments: Sampler.Name.allCases)
    func agreesWithDiffusers(name: Sampler.Name) throws {
        let sampling = try LocalSampling(model, settings(name))
        let ours = try sampling.samples(GivenNoise(noise(["x_T", "noise"])))
        let error = difference(ours, try Tensor(golden.entry(name.rawValue)))
        #expect(error < 1e-3, "\(error)")
    }

    @Test func noiseInDoubleIsSampledInDouble() throws {
        var archive = SafetensorsArchive()
        try archive.append(.init(name: "latents", shape: [3, 1, 8, 8], doubles: golden.doubles("x_T")))
        let exact = try LocalSampling(
            ModelDirectory(contentsOf: goldens("samplers/trained"), dtype: .float64), settings(.ddim)
        ).samples(GivenNoise(archive))
        #expect(exact.dtype == .float64)
        #expect(difference(exact.to(.float32), try Tensor(golden.entry("ddim"))) < 1e-3)
    }

    @Test func stopsAtACutAndGoesOnFromThere() throws {
        var upper = settings(.ddim), lower = settings(.ddim)
        (upper.spacing, upper.to, upper.steps) = (.trailing, 400, 30)
        (lower.spacing, lower.from, lower.steps) = (.trailing, 400, 20)
        let cut = try LocalSampling(model, upper).samples(GivenNoise(noise(["x_T"])))
        var handoff = SafetensorsArchive()
        try handoff.append(cut.entry(named: "x"))
        let halves = try LocalSampling(model, lower).samples(GivenNoise(handoff))
        var whole = settings(.ddim)
        whole.spacing = .trailing
        // 20 timesteps a step on both sides: the same list.
        let through = try LocalSampling(model, whole).samples(GivenNoise(noise(["x_T"])))
        #expect(halves.floats == through.floats)
        #expect(cut.abs().max().item > 1)
    }

    @Test func seedsDrawTheirOwnNoise() throws {
        let sampling = try LocalSampling(model, settings(.ddpm))
        let a = try sampling.samples(seed: 1, count: 3), b = try sampling.samples(seed: 1, count: 3)
        #expect(a.shape == [3, 1, 8, 8] && a.floats == b.floats)
        #expect(try sampling.samples(seed: 2, count: 3).floats != a.floats)
    }

    @Test func settingsThatCannotBeAreRefused() throws {
        func refusal(_ words: String..., change: (inout LocalSampling.Settings) throws -> Void) throws {
            var settings = settings(.ddim)
            try change(&settings)
            do { _ = try LocalSampling(model, settings).samples(GivenNoise(noise(["x_T"]))) } catch {
                for word in words { #expect("\(error)".contains(word), "\(word) in: \(error)") }
                return
            }
            Issue.record("not refused: \(words)")
        }
        try refusal("0 steps", "ask for 1 to 1000") { $0.steps = 0 }
        try refusal("1000000000 steps", "ask for 1 to 1000") { $0.steps = 1_000_000_000 }
        try refusal("T = 1000", "1001") { $0.from = 1001 }
        try refusal("between timestep 300 and 400") { ($0.from, $0.to) = (300, 400) }
        try refusal("between timestep 1000 and -1") { $0.to = -1 }
        try refusal("eta", "0…1") { $0.eta = 2 }
        try refusal("steps_offset", "-1") { ($0.spacing, $0.stepsOffset) = (.leading, -1) }
        for offset in [Int.max, .min] {
            try refusal("steps_offset", "0…19", "\(offset)") { ($0.spacing, $0.stepsOffset) = (.leading, offset) }
        }
        for end in [Int.min, .max] { try refusal("\(end)") { $0.to = end } }
        for start in [Int.min, 0, .max] { try refusal("1…1000", "\(start)") { $0.from = start } }
        for steps in [Int.min, .max] { try refusal("\(steps) steps", "ask for 1 to 1000") { $0.steps = steps } }
        try refusal("2 steps do not fit", "ask for one") { ($0.from, $0.to, $0.steps) = (400, 399, 2) }
        try refusal("name one for all samples") { $0.labels = nil }
        try refusal("2 labels for 3 samples") { $0.labels = [1, 2] }
        try refusal("lie in 0…10") { $0.labels = [12] }
        try refusal("without a label for none") { $0.labels = [11] }
        try refusal("0…10", "10 stands for none") { ($0.labels, $0.guidance) = ([11], 2) }
        try refusal("guidance", "0…100") { $0.guidance = -1 }
        try refusal("ddpm over 50 steps adds noise in 49", "that of 0", "--seed") { $0.sampler = .ddpm }
    }

    /// The same model, trained on images of another size.
    private func sampling(of sampleSize: [Int]) throws -> LocalSampling {
        var configuration = model.network.configuration
        configuration.sampleSize = sampleSize
        var source = ParameterSource(seed: 1)
        let other = ModelDirectory(
            network: UNet(configuration, &source), schedule: model.schedule, prediction: .epsilon, record: nil)
        return try LocalSampling(other, settings(.ddim, labels: [1]))
    }

    @Test func sizesThatNoMachineHasRoomForAreRefused() throws {
        let sampling = try sampling(of: [1_000_000, 1_000_000])
        #expect { try sampling.samples(seed: 1, count: 1) } throws: {
            let message = ($0 as? DiffusionError)?.message ?? ""
            return message.contains("1×1000000×1000000") && message.contains("sample_size")
        }
    }

    /// What libtorch would say of it names no key.
    @Test func sizesThatCannotBeHalvedAreRefused() throws {
        let sampling = try sampling(of: [8, 7])
        #expect { try sampling.samples(seed: 1, count: 1) } throws: {
            let message = ($0 as? DiffusionError)?.message ?? ""
            return message.contains("key 'sample_size'") && message.contains("8×7") && message.contains("by 2")
        }
        // Given noise of another size, it is of no matter.
        #expect(try sampling.samples(GivenNoise(noise(["x_T"]))).shape == [3, 1, 8, 8])
    }

    /// A shape with a zero in it takes no bytes, however many rows it has.
    @Test func noiseOfManyEmptyRowsIsRefusedAtOnce() throws {
        var archive = SafetensorsArchive()
        try archive.append(.init(name: "noise", shape: [1_000_000_000_000, 0, 1, 8, 8], floats: []))
        #expect { try GivenNoise(archive) } throws: {
            ($0 as? DiffusionError)?.message.contains("'noise' is empty") == true
        }
        // With x beside it, too.
        try archive.append(.init(name: "x_T", shape: [1, 1, 8, 8], floats: Array(repeating: 0, count: 64)))
        #expect(throws: DiffusionError.self) { try GivenNoise(archive) }
        // Steps are taken from it one by one, not all at the start.
        archive = SafetensorsArchive()
        try archive.append(.init(name: "noise", shape: [400_001, 1, 1, 1, 1], floats: (0...400_000).map(Float.init)))
        let many = try GivenNoise(archive)
        #expect(many.steps == 400_000 && many.start.floats == [0])
        #expect(many.step(0).floats == [1] && many.step(399_999).floats == [400_000])
    }

    @Test("guidance of 0 and of 1 are both none", arguments: [0.0, 1])
    func noGuidance(weight: Double) throws {
        var settings = settings(.ddim)
        settings.guidance = weight
        let ours = try LocalSampling(model, settings).samples(GivenNoise(noise(["x_T"])))
        #expect(difference(ours, try Tensor(golden.entry("ddim"))) < 1e-3)
    }

    @Test func noiseThatIsNoneIsRefused() throws {
        func code(_ shape: [Int], _ name: String = "x_T", value: Float = 0) throws -> DiffusionError? {
            var archive = SafetensorsArchive()
            try archive.append(
                .init(name: name, shape: shape, floats: Array(repeating: value, count: shape.reduce(1, *))))
            do { _ = try LocalSampling(model, settings(.ddim, labels: [1])).samples(GivenNoise(archive)) } catch {
                return error as? DiffusionError
            }
            return nil
        }
        #expect(try code([2, 1, 8, 8]) == nil)
        #expect(try code([1, 2, 1, 8, 8], "anything") == nil)
        #expect(try code([2, 1, 8, 8], value: .nan)?.message.contains("NaN") == true)
        #expect(try code([2, 3, 8, 8])?.message.contains("not 3×8×8") == true)
        #expect(try code([2, 1, 8, 7])?.message.contains("divisible by 2") == true)
        for shape in [[2, 64], [0, 1, 8, 8], [0, 2, 1, 8, 8], [2, 1, 0, 8]] {
            #expect(try code(shape)?.code == .badNoise, "\(shape)")
        }
        #expect {
            var archive = SafetensorsArchive()
            try archive.append(.init(name: "x_T", shape: [2, 1, 8, 8], floats: Array(repeating: 0, count: 128)))
            try archive.append(.init(name: "noise", shape: [3, 1, 1, 8, 8], floats: Array(repeating: 0, count: 192)))
            _ = try GivenNoise(archive)
        } throws: { ($0 as? DiffusionError)?.message.contains("shape of x_T") == true }
    }

    @Test func samplersAndThresholdsAsPeopleWriteThem() throws {
        for name in Sampler.Name.allCases { #expect(try Sampler.Name(spelled: name.rawValue.uppercased()) == name) }
        for word in ["DPM-Solver++ 2M", "dpm++2m", "dpmpp_2m", "dpm-solver"] {
            #expect(try Sampler.Name(spelled: word) == .dpmSolver)
        }
        func message(_ word: String) -> String {
            do { _ = try Sampler.Name(spelled: word) } catch { return error.message }
            return ""
        }
        #expect(message("dimm").contains("did you mean ddim?"))
        #expect(message("hune").contains("did you mean heun?"))
        #expect(message("eulre").contains("ddpm, ddim, dpm-solver++, euler, heun; did you mean euler?"))
        // Not near any.
        for word in ["banana", "unipc", "x", "k_dpm_2_ancestral"] {
            let said = message(word)
            #expect(said.contains("there are ddpm") && !said.contains("did you mean"), "\(said)")
        }
        #expect(try Threshold(spelled: "none") == .none && Threshold(spelled: "clip") == .clip(1))
        #expect(try Threshold(spelled: "clip:1.5") == .clip(1.5))
        #expect(try Threshold(spelled: "dynamic:0.99:2") == .dynamic(quantile: 0.99, maximum: 2))
        for word in ["", "clip:", "clip:x", "clip:0", "dynamic", "dynamic:2:2", "dynamic:0.9:2:3", "none:1"] {
            #expect(throws: ChainError.self) { try Threshold(spelled: word) }
        }
    }

    /// Prompts in the place of classes, guided away from the last: diffusers' UNet2DConditionModel and DDIMScheduler, in double.
    @Test func textLeads() throws {
        let folder = goldens("unet-text")
        let golden = try SafetensorsArchive(contentsOf: folder.appending(path: "guided.safetensors"))
        let model = try ModelDirectory(contentsOf: folder, dtype: .float64)
        var settings = LocalSampling.Settings(), archive = SafetensorsArchive()
        settings.steps = 5
        settings.guidance = 3
        settings.prompts = try Tensor(golden.entry("encoder_hidden_states"))
        try archive.append(golden.entry("x_T"))
        let ours = try LocalSampling(model, settings).samples(GivenNoise(archive))
        #expect(difference(ours, try Tensor(golden.entry("sample"))) < 1e-5)
        // The same prompts by number.
        settings.labels = [1, 0]
        let swapped = try LocalSampling(model, settings).samples(GivenNoise(archive))
        #expect(difference(swapped, ours) > 1e-3)
        settings.labels = [3]
        #expect { try LocalSampling(model, settings).samples(GivenNoise(archive)) } throws: {
            ($0 as? DiffusionError)?.code == .badLabels
        }
        settings.prompts = nil
        #expect { try LocalSampling(model, settings) } throws: { ($0 as? DiffusionError)?.code == .badConfig }
    }
}

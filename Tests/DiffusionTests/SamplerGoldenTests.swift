import Chain
import Diffusion
import Foundation
import Safetensors
import Testing
import Torch

/// Against diffusers' own schedulers (`Tests/Goldens/samplers.py`).
struct SamplerGoldenTests {
    /// A trajectory of diffusers': its settings, and the timesteps at which it asked the network, as diffusers counts them.
    struct Walk: Decodable {
        let sampler: String, eta: Double, stride: Int, raw: Bool, variance: String, prediction: String, schedule: String
        let clip: Double, quantile: Double, maximum: Double, asked: [Int], end: Int

        var title: String { "\(sampler) η \(eta) \(prediction) \(schedule) clip \(clip) quantile \(quantile)" }

        func plan(on schedule: Schedule) throws -> SamplePlan {
            let sampler: Sampler
            switch try #require(Sampler.Name(rawValue: self.sampler)) {
            case .ddpm: sampler = .ddpm(variance: variance == "fixed_large" ? .large : .small)
            case .ddim: sampler = .ddim(eta: eta, rawNoise: raw, stride: stride, end: end)
            case .heun: sampler = .heun(fromNoise: true)
            case let name: sampler = Sampler(name)
            }
            var timesteps: [Int] = []
            for t in asked where timesteps.last != t + 1 { timesteps.append(t + 1) }
            return SamplePlan(
                seed: 0, number: 0, label: 0, timesteps: try TimestepList(timesteps + [0], on: schedule),
                sampler: sampler,
                threshold: quantile > 0
                    ? .dynamic(quantile: quantile, maximum: maximum) : clip > 0 ? .clip(clip) : .none)
        }
    }

    /// Says what it was told to.
    struct Recorded: DenoisingNetwork {
        let output: Tensor
        var classEmbeddings: Int? { nil }
        func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor { output }
        func name(_ parameters: inout ParameterNames) {}
    }

    /// The exact denoiser where every value of x_0 is N(±mean, variance), either with probability ½.
    struct Mixture: DenoisingNetwork {
        let schedule: Schedule
        let mean: Tensor
        let variance: Double
        let prediction: Prediction
        var classEmbeddings: Int? { nil }

        func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
            let steps = timesteps.integers.map { $0 + 1 }
            func row(_ value: (_ bar: Double, _ noise: Double) -> Double) -> Tensor {
                x.perRow(steps.map { value(schedule.alphaBar($0), schedule.noiseShare($0)) })
            }
            let certainty = (mean * x * row { $0.squareRoot() / ($0 * variance + $1) }).tanh()
            let image =
                certainty * mean * row { $1 / ($0 * variance + $1) }
                + x * row { $0.squareRoot() * variance / ($0 * variance + $1) }
            let noise = (x - image * row { bar, _ in bar.squareRoot() }) * row { 1 / $1.squareRoot() }
            switch prediction {
            case .sample: return image
            case .epsilon: return noise
            case .v: return noise * row { bar, _ in bar.squareRoot() } - image * row { $1.squareRoot() }
            }
        }

        func name(_ parameters: inout ParameterNames) {}
    }

    private func walks(_ file: String) throws -> [Walk] {
        try JSONDecoder().decode([Walk].self, from: Data(contentsOf: goldens("samplers/\(file).json")))
    }

    private func tensors(_ file: String) throws -> [String: Tensor] {
        let archive = try SafetensorsArchive(contentsOf: goldens("samplers/\(file).safetensors"))
        return try Dictionary(uniqueKeysWithValues: archive.entries.map { ($0.name, try Tensor($0)) })
    }

    private func schedule(_ name: String) throws -> Schedule {
        try Schedule(name == "linear" ? .linear() : .cosine(), timesteps: 1000)
    }

    /// In float32, every step from diffusers' own x_t, with its own tables; all samplers, orders and thresholds in one batch.
    @Test(arguments: ["epsilon", "v_prediction", "sample"], ["linear", "squaredcos_cap_v2"])
    func singleSteps(prediction: String, schedule name: String) throws {
        let schedule = try schedule(name), tensors = try tensors("steps")
        var passes: [SamplePass] = [], rows: [Int] = [], before: [Int] = [], titles: [String] = []
        var first = 0
        for walk in try walks("steps") {
            if walk.prediction == prediction, walk.schedule == name {
                let plan = try walk.plan(on: schedule)
                #expect(plan.passes == walk.asked.count)
                for pass in 0..<plan.passes {
                    #expect(plan.pass(pass).asked == walk.asked[pass] + 1)
                    before.append(max(0, passes.count - (pass == 0 ? 0 : 1)))
                    passes.append(plan.pass(pass))
                    rows.append(first + pass)
                    titles.append("\(walk.title) pass \(pass)")
                }
            }
            first += walk.asked.count
        }
        #expect(passes.count > 140)
        func chosen(_ name: String) throws -> Tensor {
            try #require(tensors[name]).gathered(0, rows: Tensor(rows)).reshaped(rows.count, 1, 2, 4)
        }
        let denoiser = try Denoiser(
            Recorded(output: chosen("output")), on: schedule, predicting: #require(Prediction(rawValue: prediction)),
            labels: 0)
        let x = try chosen("x"), z = try chosen("z"), theirs = try chosen("result")
        // What a pass remembers does not depend on what it is given to remember.
        let memory = try #require(denoiser.step(x, passes, noise: z).memory).gathered(0, rows: Tensor(before))
        let ours = denoiser.step(x, memory: memory, passes, noise: z).x
        let errors =
            (ours - theirs).abs().reshaped(rows.count, -1).max(1) / theirs.abs().reshaped(rows.count, -1).max(1)
        for (row, error) in errors.doubles.enumerated() {
            // diffusers' Euler and Heun work on x/√ᾱ, whose rounding at t is this much of x_s.
            let pass = passes[row], ratio = (schedule.alphaBar(pass.to) / schedule.alphaBar(pass.from)).squareRoot()
            let rounding = [.euler, .heun].contains(pass.plan.sampler.name) ? ratio * 0x1p-22 : 0
            #expect(error < 1e-5 + rounding, "\(titles[row]): \(error)")
        }
    }

    /// In float64, whole trajectories for data of which the exact denoiser is known.
    @Test func exactTrajectories() throws {
        let tensors = try tensors("exact"), walks = try walks("exact")
        let start = try #require(tensors["start"]), noise = try #require(tensors["noise"])
        let results = try #require(tensors["results"]), mean = try #require(tensors["mean"])
        #expect(walks.count == results.size(0))
        for (index, walk) in walks.enumerated() {
            let schedule = try schedule(walk.schedule), plan = try walk.plan(on: schedule)
            let prediction = try #require(Prediction(rawValue: walk.prediction))
            let denoiser = try Denoiser(
                Mixture(schedule: schedule, mean: mean, variance: 0.04, prediction: prediction), on: schedule,
                predicting: prediction, labels: 0)
            var x = start, memory: Tensor?
            for pass in 0..<plan.passes {
                let step = denoiser.step(
                    x, memory: memory, [plan.pass(pass), plan.pass(pass)], noise: noise[min(pass, noise.size(0) - 1)])
                (x, memory) = (step.x, step.memory)
            }
            let error = difference(x, results[index])
            #expect(error < 1e-8, "\(walk.title): \(error)")
        }
    }

    /// In float32, whole trajectories of a small network trained in Python, with the settings diffusers reads from its folder.
    @Test(arguments: Sampler.Name.allCases)
    func trainedTrajectories(name: Sampler.Name) throws {
        let model = try ModelDirectory(contentsOf: goldens("samplers/trained"))
        let tensors = try tensors("trained/golden")
        let labels = try #require(tensors["labels"]).integers, noise = try #require(tensors["noise"])
        let denoiser = try Denoiser(
            model.network, on: model.schedule, predicting: model.prediction, labels: 10)
        let timesteps = try TimestepList(from: 1000, to: 0, steps: 50, spacing: .leading, for: name, raised: false)
        let clips = [.ddpm, .ddim, .heun].contains(name)
        let plans = labels.map {
            SamplePlan(
                seed: 0, number: 0, label: $0, timesteps: timesteps,
                sampler: name == .ddim ? .ddim(rawNoise: true) : Sampler(name), threshold: clips ? .clip(1) : .none)
        }
        let start = try ChainState(
            received: #require(tensors["x_T"]), at: labels.map { _ in timesteps.start }, imageShape: [1, 8, 8])
        let ours = denoiser.sample(from: start, plans, noise: (0..<50).map { noise[$0] }).state
        #expect(ours.timesteps == [0, 0, 0])
        let theirs = try #require(tensors[name.rawValue])
        let error = difference(ours.x, theirs)
        #expect(error < 1e-3, "\(error)")
    }
}

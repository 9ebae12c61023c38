import Chain
import Diffusion
import Foundation
import Testing
import Torch

struct SamplingTests {
    private let schedule: Schedule

    init() throws { schedule = try Schedule(.cosine(), timesteps: 1000) }

    private func plan(
        _ number: UInt32, from start: Int = 1000, to end: Int, steps: Int, _ sampler: Sampler, label: Int = 0,
        guidance: Double = 1,
        clip: Double? = nil
    ) throws -> SamplePlan {
        SamplePlan(
            seed: 9, number: number, label: label, timesteps: try TimestepList(from: start, to: end, steps: steps),
            sampler: sampler,
            guidance: guidance, clip: clip)
    }

    /// In float64, with the exact denoiser of a Gaussian: mean and variance at the cut and at the end are known.
    @Test(arguments: [Sampler.ddpm, .ddim(eta: 0), .ddim(eta: 0.7)], [500, 0])
    func wholeTrajectoriesReachTheKnownDistribution(sampler: Sampler, end: Int) throws {
        let mean = 0.3, variance = 0.16, count = 4000
        let denoiser = try Denoiser(
            GaussianNetwork(schedule: schedule, mean: mean, variance: variance), on: schedule, labels: 0)
        let plans = try (0..<UInt32(count)).map { try plan($0, to: end, steps: (1000 - end) / 5, sampler) }
        let noise = ChainState(noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [1], on: schedule)
        var x = noise.x.to(.float64)
        for position in 0..<plans[0].timesteps.steps {
            x = denoiser.step(x, plans.map { SampleStep($0, at: position) }).state.x
        }
        #expect(x.dtype == .float64)
        let bar = schedule.alphaBar(end), wanted = bar * variance + 1 - bar
        #expect(abs(x.mean().item - bar.squareRoot() * mean) < 4 * (wanted / Double(count)).squareRoot() + 0.01)
        #expect(abs(x.variance().item / wanted - 1) < 4 * (2 / Double(count)).squareRoot() + 0.03)
    }

    /// Alone or among strangers at other timesteps, with other samplers, lengths, labels and guidance: the same sample.
    @Test func aSampleDoesNotDependOnItsBatch() throws {
        let model = try ModelDirectory(contentsOf: goldens("unet-classes"))
        let denoiser = try Denoiser(model.network, on: model.schedule, labels: 4)
        let plans = [
            try plan(0, to: 500, steps: 5, .ddim(), label: 1, clip: 1),
            try plan(1, to: 200, steps: 7, .ddpm, label: 4, clip: 1),
            try plan(2, to: 700, steps: 3, .ddim(eta: 0.5), label: 3, guidance: 2.5, clip: 1),
            try plan(3, to: 0, steps: 6, .ddim(eta: 1), label: 2, guidance: 0, clip: 1.5),
        ]
        func sample(_ plans: [SamplePlan]) -> StepResult {
            let start = ChainState(
                noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [1, 8, 8], on: model.schedule)
            return denoiser.sample(from: start, plans)
        }
        let together = sample(plans)
        #expect(together.state.timesteps == [500, 200, 700, 0])
        for (row, plan) in plans.enumerated() {
            let alone = sample([plan])
            #expect(difference(alone.state.x[0], together.state.x[row]) < 1e-4, "row \(row)")
            #expect(difference(alone.image[0], together.image[row]) < 1e-4, "row \(row)")
        }
        let other = sample([try self.plan(17, to: 500, steps: 5, .ddim(), label: 1, clip: 1)])
        #expect(difference(other.state.x[0], together.state.x[0]) > 0.1)
    }

    /// Stopping at a checkpoint and going on gives what going through gives, bit for bit.
    @Test func aSampleDoesNotDependOnARestart() throws {
        let model = try ModelDirectory(contentsOf: goldens("unet-classes"))
        let denoiser = try Denoiser(model.network, on: model.schedule, labels: 4)
        let whole = try plan(5, to: 400, steps: 6, .ddpm, label: 2, clip: 1)
        let start = ChainState(noiseFor: [(9, 5)], imageShape: [1, 8, 8], on: model.schedule)
        let through = denoiser.sample(from: start, [whole]).state.x
        var first = whole, second = whole
        first.timesteps = try TimestepList(Array(whole.timesteps.timesteps[0...2]), on: model.schedule)
        second.timesteps = try TimestepList(Array(whole.timesteps.timesteps[2...]), on: model.schedule)
        let half = denoiser.sample(from: start, [first]).state
        let resumed = try ChainState(
            received: Tensor(half.x.floats, shape: half.x.shape), at: half.timesteps, imageShape: [1, 8, 8])
        #expect(denoiser.sample(from: resumed, [second]).state.x.floats == through.floats)
    }

    @Test func guidanceLeadsAwayFromNone() throws {
        let denoiser = try Denoiser(LabelNetwork(rows: 4), on: schedule, labels: 3)
        let x = Tensor.zeros([4, 1])
        let t = 500, ratio = -(schedule.noiseShare(t) / schedule.alphaBar(t)).squareRoot()
        let images = denoiser.image(x, at: [t, t, t, t], labels: [0, 1, 2, 3], guidance: [1, 3, 0, 2]).doubles
        // ε̂ is 1 + label, .25 for none: row 1 is .25 + 3·(2 − .25), rows 0 and 2 are not guided, none stays none.
        for (image, noise) in zip(images, [1, 5.5, 3, 0.25]) { #expect(abs(image - ratio * noise) < 1e-5) }
    }

    @Test func guidanceNeedsALabelForNone() throws {
        let without = try Denoiser(LabelNetwork(rows: 3), on: schedule, labels: 3)
        #expect(!without.knowsNone)
        try without.check(guidance: 1)
        try without.check(labels: [0, 2])
        #expect { try without.check(guidance: 2) } throws: { ($0 as? DiffusionError)?.code == .noNullLabel }
        #expect { try without.check(labels: [3]) } throws: { ($0 as? DiffusionError)?.code == .noNullLabel }
        let with = try Denoiser(LabelNetwork(rows: 4), on: schedule, labels: 3)
        try with.check(guidance: 2)
        try with.check(labels: [3])
        #expect { try with.check(labels: [4]) } throws: { ($0 as? DiffusionError)?.code == .badLabels }
        #expect { try with.check(labels: [-1]) } throws: { ($0 as? DiffusionError)?.code == .badLabels }
        #expect { try with.check(guidance: .nan) } throws: { $0 is DiffusionError }
        #expect { try Denoiser(LabelNetwork(rows: 7), on: schedule, labels: 3) } throws: {
            ($0 as? DiffusionError)?.code == .badLabels
        }
        let noLabels = try Denoiser(GaussianNetwork(schedule: schedule, mean: 0, variance: 1), on: schedule, labels: 0)
        try noLabels.check(labels: [0])
        #expect { try noLabels.check(guidance: 2) } throws: { ($0 as? DiffusionError)?.code == .noNullLabel }
    }

    /// x̂_0 is clipped where asked, x_ζ never: it is noise to a good part and reaches far beyond the images' range.
    @Test func clipsTheGuessAndNotTheSample() throws {
        let denoiser = try Denoiser(GaussianNetwork(schedule: schedule, mean: 0, variance: 4), on: schedule, labels: 0)
        let plans = try (0..<64).map { try plan($0, to: 500, steps: 4, .ddim(), clip: $0 < 32 ? 0.5 : nil) }
        let start = ChainState(noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [4], on: schedule)
        let result = denoiser.sample(from: start, plans)
        #expect(result.image[0..<32].abs().max().item <= 0.5)
        #expect(result.image[32..<64].abs().max().item > 1)
        #expect(result.state.x[0..<32].abs().max().item > 1)
    }

    @Test func startsAreStandardNormalAndTheirOwn() {
        let start = ChainState(noiseFor: (0..<500).map { (3, $0) }, imageShape: [1, 4, 4], on: schedule)
        #expect(abs(start.x.mean().item) < 0.04 && abs(start.x.variance().item - 1) < 0.06)
        #expect(start.timesteps == Array(repeating: 1000, count: 500))
        let apart = start.x.reshaped(500, 16)
        #expect((apart.distances(to: apart) + Tensor.eye(500) * 100).min().item > 1)
    }
}

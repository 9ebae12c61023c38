import Chain
import Diffusion
import Foundation
import Safetensors
import Testing
import Torch

struct SamplingTests {
    private let schedule: Schedule

    init() throws { schedule = try Schedule(.cosine(), timesteps: 1000) }

    private func plan(
        _ number: UInt32, from start: Int = 1000, to end: Int, steps: Int, _ sampler: Sampler, label: Int = 0,
        guidance: Double = 1,
        threshold: Threshold = .none
    ) throws -> SamplePlan {
        SamplePlan(
            seed: 9, number: number, label: label, timesteps: try TimestepList(from: start, to: end, steps: steps),
            sampler: sampler,
            guidance: guidance, threshold: threshold)
    }

    /// In float64, with the exact denoiser of a Gaussian: mean and variance at the cut and at the end are known.
    @Test(arguments: [Sampler.ddpm(), .ddim(), .ddim(eta: 0.7), .dpmSolver, .heun()], [500, 0])
    func wholeTrajectoriesReachTheKnownDistribution(sampler: Sampler, end: Int) throws {
        let mean = 0.3, variance = 0.16, count = 4000
        let denoiser = try Denoiser(
            GaussianNetwork(schedule: schedule, mean: mean, variance: variance), on: schedule, labels: 0)
        let plans = try (0..<UInt32(count)).map { try plan($0, to: end, steps: (1000 - end) / 5, sampler) }
        let noise = ChainState(noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [1], on: schedule)
        var x = noise.x.to(.float64), memory: Tensor?
        for pass in 0..<plans[0].passes {
            let result = denoiser.step(x, memory: memory, plans.map { $0.pass(pass) })
            (x, memory) = (result.x, result.memory)
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
            try plan(0, to: 500, steps: 5, .ddim(), label: 1, threshold: .clip(1)),
            try plan(1, to: 200, steps: 7, .ddpm(), label: 4, threshold: .clip(1)),
            try plan(2, to: 700, steps: 3, .ddim(eta: 0.5), label: 3, guidance: 2.5, threshold: .clip(1)),
            try plan(3, to: 0, steps: 6, .ddim(eta: 1), label: 2, guidance: 0, threshold: .clip(1.5)),
            try plan(4, to: 0, steps: 5, .dpmSolver, label: 1, threshold: .dynamic(quantile: 0.9, maximum: 2)),
            try plan(5, to: 300, steps: 3, .heun(), label: 0, guidance: 1.5, threshold: .clip(1)),
            try plan(6, to: 300, steps: 6, .euler, label: 0, threshold: .clip(1)),
        ]
        func sample(_ plans: [SamplePlan]) -> (state: ChainState, image: Tensor) {
            let start = ChainState(
                noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [1, 8, 8], on: model.schedule)
            return denoiser.sample(from: start, plans)
        }
        let together = sample(plans)
        #expect(together.state.timesteps == [500, 200, 700, 0, 0, 300, 300])
        for (row, plan) in plans.enumerated() {
            let alone = sample([plan])
            #expect(difference(alone.state.x[0], together.state.x[row]) < 1e-4, "row \(row)")
            #expect(difference(alone.image[0], together.image[row]) < 1e-4, "row \(row)")
        }
        let other = sample([try self.plan(17, to: 500, steps: 5, .ddim(), label: 1, threshold: .clip(1))])
        #expect(difference(other.state.x[0], together.state.x[0]) > 0.1)
    }

    /// Stopping after any pass, being written down, and going on elsewhere gives what going through gives, bit for bit.
    @Test(
        arguments: [
            Sampler.ddpm(), .ddpm(variance: .large), .ddim(), .ddim(eta: 0.5, rawNoise: true), .dpmSolver, .euler,
            .heun(), .heun(fromNoise: true),
        ], [400, 0])
    func aSampleDoesNotDependOnARestart(sampler: Sampler, end: Int) throws {
        let model = try ModelDirectory(contentsOf: goldens("unet-classes"))
        let denoiser = try Denoiser(model.network, on: model.schedule, labels: 4)
        let plans = try (0..<2).map {
            try plan($0, to: end, steps: 4, sampler, label: 2, guidance: 1 + Double($0), threshold: .clip(1))
        }
        let start = ChainState(noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [1, 8, 8], on: model.schedule)
        let through = denoiser.sample(from: start, plans).state.x
        for stop in 0...plans[0].passes {
            var samples = plans.indices.map { SampleState(plans[$0], model: 7, from: start, row: $0) }
            withoutGradients { for _ in 0..<stop { denoiser.advance(&samples) } }
            let file = try SampleState.archive(samples).encoded()
            var resumed = try SampleState.restored(
                from: SafetensorsArchive(decoding: file), imageShape: [1, 8, 8], on: model.schedule)
            #expect(resumed.map(\.model) == [7, 7] && resumed.map(\.passesDone) == [stop, stop])
            #expect(resumed.map(\.plan) == plans && resumed.map(\.timestep) == samples.map(\.timestep))
            withoutGradients { while resumed[0].passesDone < plans[0].passes { denoiser.advance(&resumed) } }
            #expect(resumed.map(\.isFinished) == [true, true])
            #expect(Tensor.concatenated(resumed.map(\.x), 0).floats == through.floats, "after \(stop) passes")
        }
    }

    /// What is common to the samples of a job is written once: a thousand of them are not a thousand lists of timesteps.
    @Test func plansAreWrittenOnce() throws {
        let timesteps = try TimestepList(from: 1000, to: 0, steps: 500)
        let x = ChainState(noiseFor: [(1, 0)], imageShape: [1, 2, 2], on: schedule)
        let samples = (0..<200).map { number in
            let plan = SamplePlan(
                seed: 1, number: UInt32(number), label: number % 3, timesteps: timesteps,
                sampler: number < 100 ? .dpmSolver : .ddim())
            return SampleState(plan, model: 3, from: x)
        }
        let archive = try SampleState.archive(samples)
        #expect(try #require(archive.metadata["samples"]).utf8.count < 200 * 150 + 2 * 3_000)
        let resumed = try SampleState.restored(from: archive, imageShape: [1, 2, 2], on: schedule)
        #expect(resumed.map(\.plan) == samples.map(\.plan))
    }

    /// Whatever libtorch has no memory for is an error where it is caught, in whichever operation: nothing on the way takes a tensor
    /// that is not there for one that is.
    @Test(
        arguments: [Sampler.ddpm(), .ddim(eta: 0.5), .dpmSolver, .euler, .heun()],
        [Threshold.clip(1), .dynamic(quantile: 0.9, maximum: 2)])
    func aTensorThatFailedIsNoTrap(sampler: Sampler, threshold: Threshold) throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000, offsetNoise: 0.1)
        let model = try ModelDirectory(contentsOf: goldens("unet-classes"))
        let denoiser = try Denoiser(model.network, on: schedule, labels: 4)
        let text = try UNet(contentsOf: goldens("unet-text-cross"))
        let plan = SamplePlan(
            seed: 1, number: 0, label: 1, timesteps: try TimestepList(from: 1000, to: 0, steps: 4), sampler: sampler,
            guidance: 2, threshold: threshold)
        let start = ChainState(noiseFor: [(1, 0)], imageShape: [1, 8, 8], on: schedule)
        func expect(_ body: () throws -> Void) {
            #expect { try TorchError.catching { try withoutGradients { try body() } } } throws: {
                ($0 as? TorchError)?.code == .outOfMemory
            }
        }
        expect {
            let lost = Tensor.zeros([1 << 50])
            var samples = [SampleState(plan, from: start)]
            samples[0].advance(to: lost, memory: lost)
            _ = denoiser.advance(&samples).isFinite
            _ = try SampleState.archive(samples).encoded()
        }
        expect { _ = text(Tensor.zeros([1 << 50]), Tensor([3]), nil, text: .zeros([1, 2, 4])).floats }
        expect {
            var source = ParameterSource.unfilled()
            let lost = Tensor.zeros([1 << 50])
            let network = UNet(model.network.configuration, &source)
            network.prepareForInference(dtype: .bfloat16)
            _ = network(lost, Tensor([3]), Tensor([1])).floats
        }
    }

    @Test func statesThatNoSamplerLeftAreRefused() throws {
        let model = try ModelDirectory(contentsOf: goldens("unet-classes"))
        let denoiser = try Denoiser(model.network, on: model.schedule, labels: 4)
        let plan = try plan(0, to: 0, steps: 4, .dpmSolver, label: 2)
        let start = ChainState(noiseFor: [(9, 0)], imageShape: [1, 8, 8], on: model.schedule)
        var samples = [SampleState(plan, from: start)]
        withoutGradients { _ = denoiser.advance(&samples) }
        let good = try SampleState.archive(samples)
        func isRefused(_ archive: SafetensorsArchive, imageShape: [Int] = [1, 8, 8]) -> Bool {
            do { _ = try SampleState.restored(from: archive, imageShape: imageShape, on: model.schedule) } catch {
                return error.code == .badState
            }
            return false
        }
        #expect(!isRefused(good))
        #expect(isRefused(good, imageShape: [1, 4, 16]))
        #expect(isRefused(SafetensorsArchive()))
        let text = try #require(good.metadata["samples"])
        for (from, to) in [
            ("\"passesDone\":1", "\"passesDone\":5"), ("\"passesDone\":1", "\"passesDone\":-1"),
            ("\"passesDone\":1", "\"passesDone\":0"), ("[1000,", "[1001,"), ("[1000,", "[1,"),
            ("[1000,750,500,250,0]", "[]"),
            ("\"remembers\":true", "\"remembers\":false"),
            ("\"dpmSolver\":{}", "\"ddim\":{\"eta\":0,\"rawNoise\":false}"),
            ("{", "["),
        ] {
            var bad = good
            bad.metadata["samples"] = text.replacingOccurrences(of: from, with: to)
            #expect(bad.metadata != good.metadata && isRefused(bad), "\(from) → \(to)")
        }
        for spoilt in ["x", "memory"] {
            var bad = SafetensorsArchive(metadata: good.metadata)
            for entry in good.entries where entry.name != spoilt { try bad.append(entry) }
            #expect(isRefused(bad))
            try bad.append(.init(name: spoilt, shape: [1, 1, 8, 8], floats: Array(repeating: .nan, count: 64)))
            #expect(isRefused(bad))
        }
    }

    @Test func guidanceLeadsAwayFromNone() throws {
        let denoiser = try Denoiser(LabelNetwork(rows: 4), on: schedule, labels: 3)
        let x = Tensor.zeros([4, 1])
        let t = 500, ratio = -(schedule.noiseShare(t) / schedule.alphaBar(t)).squareRoot()
        let images = denoiser.opinion(x, at: [t, t, t, t], labels: [0, 1, 2, 3], guidance: [1, 3, 0, 2]).image.doubles
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
        let plans = try (0..<64).map {
            try plan($0, to: 500, steps: 4, .ddim(), threshold: $0 < 32 ? .clip(0.5) : .none)
        }
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

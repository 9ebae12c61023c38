import Chain
import Foundation
import Testing

struct SamplerTests {
    /// A step on its own.
    private func step(_ sampler: Sampler, from t: Int, to s: Int, on schedule: Schedule) throws -> PassCoefficients {
        try SamplePlan(seed: 0, number: 0, label: 0, timesteps: TimestepList([t, s], on: schedule), sampler: sampler)
            .pass(0).coefficients(on: schedule, predicting: .epsilon)
    }

    /// A list of diffusers' (`Tests/Goldens/samplers.py`).
    struct List: Decodable { let sampler: String, spacing: String, offset: Int, steps: Int, timesteps: [Double] }

    @Test func listsAgreeWithDiffusers() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../Goldens/samplers/lists.json")
        let goldens = try JSONDecoder().decode([List].self, from: Data(contentsOf: file))
        #expect(goldens.count == 140)
        for golden in goldens {
            let spacing = try #require(TimestepSpacing(rawValue: golden.spacing))
            let sampler = try #require(Sampler.Name(rawValue: golden.sampler))
            let ours = try TimestepList(
                from: 1000, to: 0, steps: golden.steps, spacing: spacing, offset: golden.offset, for: sampler,
                raised: false)
            // Ours are one more, end at the image, and are whole: Euler and Heun may stand between two timesteps in diffusers.
            let theirs = golden.timesteps.map { Int($0.rounded(.toNearestOrEven)) + 1 } + [0]
            #expect(ours.timesteps == theirs, "\(golden.sampler) \(golden.spacing) \(golden.offset) \(golden.steps)")
        }
    }

    /// Which way ties are rounded hangs on the last bits, so all numbers of steps are looked at.
    @Test func trailingIsDiffusersForEveryNumberOfSteps() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../Goldens/samplers/trailing.json")
        let hashes = try JSONDecoder().decode([UInt64].self, from: Data(contentsOf: file))
        #expect(hashes.count == 1000)
        for (steps, expected) in zip(1..., hashes) {
            let list = try TimestepList(from: 1000, to: 0, steps: steps)
            let hash = list.timesteps.dropLast().reduce(0 as UInt64) { $0 &* 1_000_003 &+ UInt64($1 - 1) }
            #expect(hash == expected && list.steps == steps && list.end == 0, "\(steps)")
        }
    }

    @Test func offsetsMoveLeadingAndNoFurtherThanItsStart() throws {
        let raised = try TimestepList(from: 1000, to: 500, steps: 4, spacing: .leading)
        #expect(raised.timesteps == [1000, 751, 626, 501, 500])
        let moved = try TimestepList(from: 1000, to: 500, steps: 4, spacing: .leading, offset: 124, raised: false)
        #expect(moved.timesteps == [1000, 875, 750, 625, 500])
        for offset in [125, -1, .max / 2] {
            #expect { try TimestepList(from: 1000, to: 500, steps: 4, spacing: .leading, offset: offset) } throws: {
                ($0 as? ChainError)?.code == .badTimesteps
            }
        }
    }

    @Test(arguments: TimestepSpacing.allCases, [(1000, 500), (500, 0), (900, 137), (17, 3), (2, 0)])
    func anyPartOfTheChainBeginsAndEndsExactly(spacing: TimestepSpacing, part: (start: Int, end: Int)) throws {
        for steps in 1...min(60, part.start - part.end) {
            let list = try TimestepList(from: part.start, to: part.end, steps: steps, spacing: spacing)
            #expect(list.start == part.start && list.end == part.end && list.steps == steps)
            // The checking initialiser agrees that it falls strictly.
            _ = try TimestepList(list.timesteps, on: Schedule(.cosine(), timesteps: 1000))
        }
    }

    @Test(arguments: [[500], [], [500, 500], [500, 600], [1001, 0], [3, -1]])
    func refusesListsThatAreNone(timesteps: [Int]) throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        #expect { try TimestepList(timesteps, on: schedule) } throws: { ($0 as? ChainError)?.code == .badTimesteps }
    }

    @Test func refusesMoreStepsThanTimesteps() {
        #expect { try TimestepList(from: 10, to: 5, steps: 6) } throws: { ($0 as? ChainError)?.code == .badTimesteps }
        #expect { try TimestepList(from: 5, to: 5, steps: 1) } throws: { ($0 as? ChainError)?.code == .badTimesteps }
    }

    @Test func singleStepsAgreeWithDiffusers() throws {
        let schedules = try [
            "linear": Schedule(.linear(), timesteps: 1000), "squaredcos_cap_v2": Schedule(.cosine(), timesteps: 1000),
            "rescaled": Schedule(.linear(), timesteps: 1000, isRescaled: true),
        ]
        let steps = try Golden.load().steps
        #expect(steps.count > 200 && Set(steps.map(\.schedule)) == Set(schedules.keys))
        for step in steps {
            let schedule = try #require(schedules[step.schedule])
            let prediction = try #require(Prediction(rawValue: step.prediction))
            let sampler: Sampler = step.sampler == "ddpm" ? .ddpm() : .ddim(eta: step.eta)
            let said = prediction.coefficients(at: step.t, on: schedule)
            let move = try self.step(sampler, from: step.t, to: step.s, on: schedule)
            for i in step.x.indices {
                var image = said.imageFromX * step.x[i] + said.imageFromOutput * step.output[i]
                if step.clip { image = min(1, max(-1, image)) }
                let moved = move.x * step.x[i] + move.image * image + move.noise * step.z[i]
                #expect(
                    abs(moved - step.result[i]) < 1e-8 * max(1, abs(step.result[i])),
                    "\(step.sampler) η \(step.eta) \(step.schedule) \(step.prediction) \(step.t) → \(step.s)")
            }
        }
    }

    /// Bayes' rule summed over a grid of x_s knows nothing of the closed form.
    @Test func posteriorAgreesWithBayesByBruteForce() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        for (s, t) in [(499, 500), (300, 700), (10, 11), (900, 1000)] {
            let image = 0.4
            let x = schedule.alphaBar(t).squareRoot() * image - 0.8 * schedule.noiseShare(t).squareRoot()
            let mean = schedule.alphaBar(s).squareRoot() * image, variance = schedule.noiseShare(s)
            let ratio = schedule.alphaBar(t) / schedule.alphaBar(s)
            var mass = 0.0, first = 0.0, second = 0.0
            // x_s given x_0, times x_t given x_s, normalised by summing.
            let width = 14 * variance.squareRoot(), count = 200_000
            for index in 0...count {
                let value = mean - width / 2 + width * Double(index) / Double(count)
                let prior = (value - mean) * (value - mean) / variance
                let miss = x - ratio.squareRoot() * value
                let weight = exp(-0.5 * (prior + miss * miss / (1 - ratio)))
                mass += weight
                first += weight * value
                second += weight * value * value
            }
            let bruteMean = first / mass, bruteVariance = second / mass - bruteMean * bruteMean
            let posterior = Posterior(of: s, given: t, on: schedule)
            #expect(abs(posterior.meanFromX * x + posterior.meanFromImage * image - bruteMean) < 1e-6, "\(t) → \(s)")
            #expect(relativeError(posterior.variance, bruteVariance) < 1e-5, "\(t) → \(s)")
        }
    }

    @Test func ddimWithFullNoiseIsDDPM() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        for (s, t) in [(499, 500), (200, 700), (0, 1), (0, 300)] {
            let ddim = try step(.ddim(eta: 1), from: t, to: s, on: schedule)
            let ddpm = try step(.ddpm(), from: t, to: s, on: schedule)
            #expect(abs(ddim.x - ddpm.x) < 1e-12)
            #expect(abs(ddim.image - ddpm.image) < 1e-12)
            #expect(abs(ddim.noise - ddpm.noise) < 1e-12)
        }
    }

    /// A Gaussian x_0 has a known denoiser, so each x_s must keep the known variance, whatever the stride.
    @Test(arguments: [Sampler.ddpm(), .ddim(), .ddim(eta: 0.5), .ddim(eta: 1), .ddim(rawNoise: true), .euler])
    func aWholeTrajectoryReachesTheKnownDistribution(sampler: Sampler) throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        let mean = 0.3, variance = 0.09
        for cut in [500, 200, 0] {
            let list = try TimestepList(from: 1000, to: cut, steps: 1000 - cut)
            var m = 0.0, v = 1.0  // of x_T
            for (t, s) in zip(list.timesteps, list.timesteps.dropFirst()) {
                // E[x_0 | x_t] is affine in x_t, and with it the whole step: the moments follow exactly.
                let bar = schedule.alphaBar(t), noise = schedule.noiseShare(t)
                let gain = bar.squareRoot() * variance / (bar * variance + noise)
                let offset = mean - gain * bar.squareRoot() * mean
                let step = try self.step(sampler, from: t, to: s, on: schedule)
                // The network's own words, ε̂ = (x_t − √ᾱ·x̂_0)/√(1−ᾱ), are affine too.
                let own = step.output / noise.squareRoot()
                let slope = step.x + own + (step.image - own * bar.squareRoot()) * gain
                let constant = (step.image - own * bar.squareRoot()) * offset
                m = slope * m + constant
                v = slope * slope * v + step.noise * step.noise
            }
            let bar = schedule.alphaBar(cut)
            #expect(abs(m - bar.squareRoot() * mean) < 0.01, "cut \(cut)")
            #expect(relativeError(v, bar * variance + schedule.noiseShare(cut)) < 0.05, "cut \(cut)")
        }
    }

    @Test func predictionsTellTheSame() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        let image = 0.6, noise = -1.3
        for t in [1, 300, 999] {
            let a = schedule.alphaBar(t).squareRoot(), b = schedule.noiseShare(t).squareRoot()
            let x = a * image + b * noise
            for (prediction, output) in [(Prediction.epsilon, noise), (.v, a * noise - b * image), (.sample, image)] {
                let said = prediction.coefficients(at: t, on: schedule)
                #expect(abs(said.imageFromX * x + said.imageFromOutput * output - image) < 1e-9)
                #expect(abs(said.noiseFromX * x + said.noiseFromOutput * output - noise) < 1e-9)
            }
        }
    }

    @Test func heunLeavesStepsFromNoiseAsEulerMadeThem() throws {
        func correction(_ sampler: Sampler, _ kind: Schedule.Kind, from t: Int) throws -> PassCoefficients {
            let schedule = try Schedule(kind, timesteps: 1000)
            let plan = SamplePlan(
                seed: 0, number: 0, label: 0, timesteps: try TimestepList([t, t - 20], on: schedule), sampler: sampler)
            #expect(plan.passes == 2 && plan.pass(1).isCorrection && plan.pass(1).asked == t - 20)
            return plan.pass(1).coefficients(on: schedule, predicting: .epsilon)
        }
        let left = try correction(.heun(), .cosine(), from: 1000)
        #expect(left.x == 1 && left.image == 0 && left.memory == 0)
        #expect(try correction(.heun(fromNoise: true), .cosine(), from: 1000).memory > 300)
        #expect(
            try correction(.heun(), .cosine(), from: 980) == correction(.heun(fromNoise: true), .cosine(), from: 980))
        #expect(try correction(.heun(), .linear(), from: 1000).memory > 0.05)
    }

    @Test func heunAsksWhereItMay() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        func asked(to end: Int, atEnd: Bool) throws -> [Int] {
            let plan = SamplePlan(
                seed: 0, number: 0, label: 0, timesteps: try TimestepList([900, 700, end], on: schedule),
                sampler: .heun(), asksAtEnd: atEnd)
            return (0..<plan.passes).map { plan.pass($0).asked }
        }
        #expect(try asked(to: 500, atEnd: true) == [900, 700, 700, 500])
        #expect(try asked(to: 500, atEnd: false) == [900, 700, 700])
        #expect(try asked(to: 0, atEnd: true) == [900, 700, 700])
    }

    @Test func samplersThatCannotBeAreRefused() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000), silent = try Schedule(.linear(end: 1), timesteps: 100)
        for eta in [-0.1, 1.1, .nan] {
            #expect { try Sampler.ddim(eta: eta).check(on: schedule) } throws: {
                ($0 as? ChainError)?.code == .badSampler
            }
        }
        for name in Sampler.Name.allCases {
            try Sampler(name).check(on: schedule)
            #expect(Sampler(name).name == name)
        }
        #expect { try Sampler.heun().check(on: silent) } throws: { ($0 as? ChainError)?.code == .badSampler }
        for threshold in [
            Threshold.clip(0), .clip(.nan), .clip(.infinity), .dynamic(quantile: 0, maximum: 2),
            .dynamic(quantile: 1.1, maximum: 2), .dynamic(quantile: 0.9, maximum: 0.9),
            .dynamic(quantile: .nan, maximum: 2),
        ] {
            #expect { try threshold.check() } throws: { ($0 as? ChainError)?.code == .badSampler }
        }
    }
}

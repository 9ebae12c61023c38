import Chain
import Diffusion
import Testing
import Torch

struct LossTests {
    private let schedule: Schedule

    init() throws { schedule = try Schedule(.cosine(), timesteps: 1000) }

    private func normals(_ seed: UInt64, _ shape: [Int]) -> Tensor {
        Tensor(CounterRandom(seed: seed).normals(shape.reduce(1, *), purpose: .evaluation), shape: shape)
    }

    /// By hand, row by row in Double, from the formulas of docs/maths.md and not from the code.
    @Test func theBackboneLossIsItsFormula() throws {
        let denoiser = try Denoiser(
            GaussianNetwork(schedule: schedule, mean: 0.2, variance: 0.5), on: schedule, labels: 0)
        let x = normals(1, [3, 1, 1, 2]), u = normals(2, [3, 1, 1, 2])
        let cuts = [200, 500, 998], timesteps = [201, 730, 1000]
        let loss = backboneLoss(denoiser, masked: x, cuts: cuts, timesteps: timesteps, labels: [0, 0, 0], noise: u)
        for row in 0..<3 {
            let barCut = schedule.alphaBar(cuts[row]), bar = schedule.alphaBar(timesteps[row])
            let r = bar / barCut, lambda = (1 - r) / (1 - bar)
            var sum = 0.0
            for (xi, ui) in zip(x[row].doubles, u[row].doubles) {
                let noised = r.squareRoot() * xi + (1 - r).squareRoot() * ui
                let predicted = (1 - bar).squareRoot() * (noised - bar.squareRoot() * 0.2) / (bar * 0.5 + 1 - bar)
                sum += (lambda.squareRoot() * predicted - ui) * (lambda.squareRoot() * predicted - ui)
            }
            #expect(abs(loss.rows[row].loss - sum / 2) < 1e-5)
            #expect(abs(loss.rows[row].addedShare - lambda) < 1e-9)
        }
        #expect(abs(loss.objective.item - loss.rows.reduce(0) { $0 + $1.loss } / 3) < 1e-6)
    }

    /// docs/maths.md (3.4): E L = λ·(ordinary loss) + 1 − λ, here for a Gaussian, whose ordinary loss is ᾱ·s²/(ᾱ·s² + 1 − ᾱ).
    @Test(arguments: [(200, 210), (200, 600), (500, 501), (500, 900)])
    func theReportIsTheOrdinaryLoss(cut: Int, timestep: Int) throws {
        let variance = 0.25, count = 60_000
        let denoiser = try Denoiser(
            GaussianNetwork(schedule: schedule, mean: 0, variance: variance), on: schedule, labels: 0)
        let bar = schedule.alphaBar(cut)
        let masked =
            normals(3, [count, 1]) * (variance * bar).squareRoot() + normals(4, [count, 1]) * (1 - bar).squareRoot()
        let loss = backboneLoss(
            denoiser, masked: masked, cuts: Array(repeating: cut, count: count),
            timesteps: Array(repeating: timestep, count: count), labels: Array(repeating: 0, count: count),
            noise: normals(5, [count, 1]))
        var report = LossReport(timesteps: 1000, buckets: 1)
        report.add(loss.rows)
        let signal = schedule.alphaBar(timestep) * variance
        let ordinary = signal / (signal + schedule.noiseShare(timestep))
        let lambda = ForwardStep(from: cut, to: timestep, on: schedule).addedShare
        let bucket = report.buckets[0]
        let measured = try #require(bucket.loss), floor = try #require(bucket.floor),
            excess = try #require(bucket.excess)
        #expect(abs(measured - (lambda * ordinary + 1 - lambda)) < 0.03)
        #expect(abs(floor - (1 - lambda)) < 1e-9)
        // Right at the cut λ is a few per cent, and the estimate divides by it.
        #expect(abs(excess - ordinary) < 0.02 / lambda.squareRoot())
    }

    /// A head is a backbone whose images were masked at 0.
    @Test func theHeadLossIsOrdinary() throws {
        let denoiser = try Denoiser(
            GaussianNetwork(schedule: schedule, mean: 0, variance: 0.5), on: schedule, labels: 0)
        let values = normals(6, [2, 1, 1, 3]).clamped(-1, 1), noise = normals(7, [2, 1, 1, 3])
        let images = try PrivateImages(values.floats, shape: [2, 1, 1, 3])
        let loss = headLoss(denoiser, images: images, timesteps: [1, 400], labels: [0, 0], noise: noise)
        for (row, t) in [1, 400].enumerated() {
            let bar = schedule.alphaBar(t)
            let noised = values[row] * bar.squareRoot() + noise[row] * (1 - bar).squareRoot()
            let predicted = noised * ((1 - bar).squareRoot() / (bar * 0.5 + 1 - bar))
            #expect(abs(loss.rows[row].loss - predicted.meanSquaredError(noise[row]).item) < 1e-5)
            #expect(loss.rows[row].addedShare == 1)
        }
    }

    /// Whatever a network predicts, the loss is that of the ε̂ it stands for.
    @Test(arguments: [Prediction.v, .sample])
    func otherPredictionsAreConverted(prediction: Prediction) throws {
        struct Converted: DenoisingNetwork {
            let inner: GaussianNetwork
            let prediction: Prediction
            var classEmbeddings: Int? { nil }
            func name(_ parameters: inout ParameterNames) {}
            func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
                let noise = inner(x, timesteps, labels)
                let bars = timesteps.integers.map { inner.schedule.alphaBar($0 + 1) }
                let signal = x.perRow(bars.map { $0.squareRoot() }),
                    share = x.perRow(bars.map { (1 - $0).squareRoot() })
                let image = (x - share * noise) / signal
                return prediction == .v ? signal * noise - share * image : image
            }
        }
        let gaussian = GaussianNetwork(schedule: schedule, mean: 0.1, variance: 0.3)
        let direct = try Denoiser(gaussian, on: schedule, labels: 0)
        let converted = try Denoiser(
            Converted(inner: gaussian, prediction: prediction), on: schedule, predicting: prediction, labels: 0)
        let x = normals(8, [2, 4]), u = normals(9, [2, 4])
        let losses = [direct.rows(x, u), converted.rows(x, u)]
        for (a, b) in zip(losses[0], losses[1]) { #expect(abs(a.loss - b.loss) < 1e-4) }
    }

    /// docs/maths.md (3.6), by hand: rows weigh min(1, γ/SNR(t)) in what is minimised, and 1 in what is reported.
    @Test func minSNRWeighsRows() throws {
        let denoiser = try Denoiser(
            GaussianNetwork(schedule: schedule, mean: 0.2, variance: 0.5), on: schedule, labels: 0)
        let x = normals(1, [3, 1, 1, 2]), u = normals(2, [3, 1, 1, 2])
        let cuts = [20, 200, 500], timesteps = [40, 300, 900]
        let plain = backboneLoss(denoiser, masked: x, cuts: cuts, timesteps: timesteps, labels: [0, 0, 0], noise: u)
        let weighted = backboneLoss(
            denoiser, masked: x, cuts: cuts, timesteps: timesteps, labels: [0, 0, 0], noise: u,
            options: LossOptions(minSNR: 5))
        let weights = timesteps.map { t in
            let bar = schedule.alphaBar(t)
            return min(bar / (1 - bar), 5) / (bar / (1 - bar))
        }
        #expect(weights[0] < 0.1 && weights[2] == 1)
        #expect(weighted.rows == plain.rows)
        let expected = zip(weights, plain.rows).reduce(0) { $0 + $1.0 * $1.1.loss } / 3
        #expect(abs(weighted.objective.item - expected) < 1e-5)
    }

    /// With offset noise in mask, training and network the report is still the ordinary loss: docs/maths.md (2.5) and (3.4). In the
    /// directions of a channel's mean the noise's variance is 1 + o²·pixels, in all others 1.
    @Test func offsetNoiseKeepsTheIdentity() throws {
        let o = 0.5, count = 20_000, pixels = 4, cut = 300, timestep = 600
        let schedule = try Schedule(.cosine(), timesteps: 1000, offsetNoise: o)
        let variance = 0.3
        struct Optimal: DenoisingNetwork {
            let schedule: Schedule
            let variance: Double
            let meanPower: Double
            var classEmbeddings: Int? { nil }
            func name(_ parameters: inout ParameterNames) {}
            func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
                // E[ε | x_t] = √(1−ᾱ)·Σ·(ᾱ·s²·I + (1−ᾱ)·Σ)⁻¹·x_t: one gain for the mean of a channel and one for the rest.
                let bar = schedule.alphaBar(timesteps.integers[0] + 1)
                func gain(_ power: Double) -> Double {
                    (1 - bar).squareRoot() * power / (bar * variance + (1 - bar) * power)
                }
                let mean = x.mean(2, 3, keep: true)
                return (x - mean) * gain(1) + mean * gain(meanPower)
            }
        }
        let meanPower = 1 + o * o * Double(pixels)
        let denoiser = try Denoiser(
            Optimal(schedule: schedule, variance: variance, meanPower: meanPower), on: schedule, labels: 0)
        // Both noises made here, by hand.
        func coloured(_ seed: UInt64) -> Tensor {
            normals(seed, [count, 1, 2, 2]) + normals(seed + 1, [count, 1, 1, 1]) * o
        }
        let barCut = schedule.alphaBar(cut)
        let masked =
            normals(20, [count, 1, 2, 2]) * (variance * barCut).squareRoot() + coloured(21) * (1 - barCut).squareRoot()
        let loss = backboneLoss(
            denoiser, masked: masked, cuts: Array(repeating: cut, count: count),
            timesteps: Array(repeating: timestep, count: count), labels: Array(repeating: 0, count: count),
            noise: coloured(23))
        var report = LossReport(timesteps: 1000, buckets: 1)
        report.add(loss.rows)
        // The ordinary loss of the optimum, mean over values: 3 directions of power 1 and one of meanPower.
        let bar = schedule.alphaBar(timestep)
        func ordinary(_ power: Double) -> Double { power * bar * variance / (bar * variance + (1 - bar) * power) }
        let expected = (3 * ordinary(1) + ordinary(meanPower)) / 4
        let lambda = ForwardStep(from: cut, to: timestep, on: schedule).addedShare
        let bucket = report.buckets[0]
        #expect(abs(try #require(bucket.floor) - (1 - lambda) * (1 + o * o)) < 1e-9)
        #expect(abs(try #require(bucket.loss) - (lambda * expected + (1 - lambda) * (1 + o * o))) < 0.03)
        #expect(abs(try #require(bucket.excess) - expected) < 0.03)
        // White noise at the server alone breaks it.
        let wrong = backboneLoss(
            denoiser, masked: masked, cuts: Array(repeating: cut, count: count),
            timesteps: Array(repeating: timestep, count: count), labels: Array(repeating: 0, count: count),
            noise: normals(25, [count, 1, 2, 2]))
        var broken = LossReport(timesteps: 1000, buckets: 1)
        broken.add(wrong.rows)
        #expect(abs(try #require(broken.buckets[0].excess) - expected) > 0.03)
    }

    @Test func everyTenthLabelIsForgotten() {
        var generator = CounterRandom(seed: 1).sequence(purpose: .evaluation)
        let dropped = dropLabels(Array(repeating: 3, count: 10_000), to: 10, using: &generator)
        #expect(Set(dropped) == [3, 10])
        #expect(abs(Double(dropped.count { $0 == 10 }) - 1000) < 120)
        #expect(dropLabels([1, 2], to: nil, probability: 1, using: &generator) == [1, 2])
    }

    @Test func bucketsCoverTheChain() {
        let report = LossReport(timesteps: 1000, buckets: 3)
        #expect(report.buckets.map(\.first) == [1, 334, 667])
        #expect(report.buckets.map(\.last) == [333, 666, 1000])
        var filled = report
        for t in [1, 333, 334, 666, 667, 1000] {
            filled.add([.init(timestep: t, loss: 1, noiseEnergy: 1, addedShare: 0.5)])
        }
        #expect(filled.buckets.map(\.rows) == [2, 2, 2])
        #expect(report.excess == nil && filled.excess == 1)
    }
}

extension Denoiser {
    fileprivate func rows(_ x: Tensor, _ u: Tensor) -> [LossReport.Row] {
        backboneLoss(self, masked: x, cuts: [300, 300], timesteps: [301, 800], labels: [0, 0], noise: u).rows
    }
}

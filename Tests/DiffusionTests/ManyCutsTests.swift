import Chain
import Diffusion
import Foundation
import Testing
import Torch

/// One backbone, three clients, three cuts, known truth.
///
/// Each client holds points of its own distribution in the plane and masks them once, at its own cut. Trained by the backbone
/// loss on the masked points alone, the backbone must, for every client, sample the client's *masked* distribution at the client's cut:
/// a mixture of Gaussians known in closed form. How far samples are from truth is their energy distance, 2·E|X−Y| − E|X−X'| − E|Y−Y'|,
/// which is 0 for equal distributions only.
///
/// Measured with two seeds: two samples of the truth .001 to .002 (what 3,000 points can tell), trained on clean points .001 to
/// .003, on masked ones .002 to .004, with double noising .03 to .05.
struct ManyCutsTests {
    /// The distance that is still called equal.
    static let tolerance = 0.01
    /// How much worse than a model trained on clean points a model trained on masked ones may be.
    static let slack = 0.005

    @Test(.timeLimit(.minutes(3)))
    func maskedPointsTeachWhatCleanOnesTeach() throws {
        let world = try PlaneWorld()
        let clean = try world.distances(ofModelTrainedBy: .cleanPoints)
        let masked = try world.distances(ofModelTrainedBy: .backboneLoss)
        for (cut, pair) in zip(world.cuts, zip(clean, masked)) {
            #expect(pair.0 < Self.tolerance, "clean, cut \(cut): \(pair.0)")
            #expect(pair.1 < Self.tolerance, "masked, cut \(cut): \(pair.1)")
            #expect(pair.1 < pair.0 + Self.slack, "cut \(cut): masked \(pair.1), clean \(pair.0)")
        }
    }

    /// The control: x_ζ noised again as if it were x_0 leaves signal ᾱ² at the cut, and the same check must see it.
    @Test(.timeLimit(.minutes(3)))
    func doubleNoisingFails() throws {
        let world = try PlaneWorld()
        for (cut, distance) in zip(world.cuts, try world.distances(ofModelTrainedBy: .doubleNoising)) {
            #expect(distance > 2 * Self.tolerance, "cut \(cut): \(distance)")
        }
    }
}

private struct PlaneWorld {
    enum Rule { case backboneLoss, cleanPoints, doubleNoising }

    /// A mixture of round Gaussians.
    struct Mixture {
        let centres: [(x: Double, y: Double, weight: Double)]
        let deviation: Double
    }

    let schedule: Schedule
    let cuts = [30, 50, 70]
    let clients = [
        Mixture(centres: [(-2, -2, 0.4), (2, -2, 0.1), (-2, 2, 0.1), (2, 2, 0.4)], deviation: 0.2),
        Mixture(centres: [(0, 2.5, 0.5), (-2, -1.5, 0.2), (2, -1.5, 0.3)], deviation: 0.3),
        Mixture(centres: [(-2.5, 0.5, 0.7), (2.5, -0.5, 0.3)], deviation: 0.5),
    ]
    let points = 4000
    let random = CounterRandom(seed: 20)

    init() throws { schedule = try Schedule(.cosine(), timesteps: 100) }

    /// `count` points of a client's distribution as it is at timestep t: centres √ᾱ·c, variance ᾱ·s² + 1 − ᾱ.
    func truth(_ client: Int, at t: Int, _ count: Int, stream: UInt32) -> Tensor {
        let mixture = clients[client]
        var words = random.sequence(sample: stream, timestep: UInt32(client), purpose: .evaluation)
        let normals = random.normals(2 * count, sample: stream + 1000, timestep: UInt32(client), purpose: .evaluation)
        let scale = schedule.alphaBar(t).squareRoot()
        let deviation = (schedule.alphaBar(t) * mixture.deviation * mixture.deviation + schedule.noiseShare(t))
            .squareRoot()
        var values: [Float] = []
        for point in 0..<count {
            var rest = Double.random(in: 0..<1, using: &words)
            let centre = mixture.centres.first { centre in
                rest -= centre.weight
                return rest < 0
            }
            let (x, y, _) = centre ?? mixture.centres[0]
            values.append(Float(scale * x + deviation * Double(normals[2 * point])))
            values.append(Float(scale * y + deviation * Double(normals[2 * point + 1])))
        }
        return Tensor(values, shape: [count, 2])
    }

    /// Trains by the rule, samples every client at its cut, and measures how far that is from the masked truth.
    func distances(ofModelTrainedBy rule: Rule) throws -> [Double] {
        let denoiser = try train(rule)
        return try cuts.indices.map { client in
            let count = 3000, cut = cuts[client]
            let plans = try (0..<UInt32(count)).map { number in
                SamplePlan(
                    seed: 5, number: number, label: client,
                    timesteps: try TimestepList(from: 100, to: cut, steps: 100 - cut),
                    sampler: .ddpm(), threshold: .clip(4))
            }
            let start = ChainState(noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [2], on: schedule)
            let samples = withoutGradients {
                var x = start.x
                for pass in 0..<(100 - cut) { x = denoiser.step(x, plans.map { $0.pass(pass) }).x }
                return x
            }
            let truth = truth(client, at: cut, count, stream: 2)
            func mean(_ a: Tensor, _ b: Tensor) -> Double { a.distances(to: b).mean().item }
            return 2 * mean(samples, truth) - mean(samples, samples) - mean(truth, truth)
        }
    }

    private struct Pick {
        let timestep: Int, client: Int, cut: Int, image: Int
    }

    /// t evenly over the chain, then a client among those with ζ < t, then one of its points.
    private func picks(_ count: Int, using words: inout CounterRandom.Words) -> [Pick] {
        let lowest = cuts.min() ?? 0
        return (0..<count).map { part in
            let timestep = lowest + 1 + (100 - lowest) * part / count
            let clients = cuts.indices.filter { cuts[$0] < timestep }
            let client = clients[Int.random(in: 0..<clients.count, using: &words)]
            return Pick(
                timestep: timestep, client: client, cut: cuts[client], image: Int.random(in: 0..<points, using: &words))
        }
    }

    private func train(_ rule: Rule) throws -> Denoiser<PlaneNetwork> {
        // Masks are drawn once. The clean points are the same client's, unmasked.
        let origins = rule == .cleanPoints ? [0, 0, 0] : cuts
        let data = Tensor.concatenated(
            cuts.indices.map { truth($0, at: origins[$0], points, stream: 1) }, 0)
        var source = ParameterSource(seed: 3), zeros = ParameterSource.zeros()
        let denoiser = try Denoiser(PlaneNetwork(labels: 3, timesteps: 100, &source), on: schedule, labels: 3)
        let averaged = PlaneNetwork(labels: 3, timesteps: 100, &zeros)
        var optimiser = AdamW(denoiser.network, learningRate: 0, weightDecay: 0)
        var average = MovingAverage(of: denoiser.network, in: averaged, decay: .ramped(limit: 0.99))
        var words = random.sequence(purpose: .training)
        let steps = 1200, batch = 512
        for step in 0..<steps {
            let picks = picks(batch, using: &words)
            let x = data.gathered(0, rows: Tensor(picks.map { $0.client * points + $0.image }))
            let noise = Tensor(
                random.normals(2 * batch, timestep: UInt32(step), purpose: .trainingNoise), shape: [batch, 2])
            let timesteps = picks.map(\.timestep), labels = picks.map(\.client)
            let objective: Tensor
            switch rule {
            case .backboneLoss:
                objective =
                    backboneLoss(
                        denoiser, masked: x, cuts: picks.map(\.cut), timesteps: timesteps, labels: labels, noise: noise
                    ).objective
            case .cleanPoints, .doubleNoising:
                // Ordinary DDPM training on whatever x is: right for clean points, double noising for masked ones.
                let bars = timesteps.map { schedule.alphaBar($0) }
                let noised =
                    x * x.perRow(bars.map { $0.squareRoot() }) + noise * x.perRow(bars.map { (1 - $0).squareRoot() })
                let predicted = denoiser.network(noised, Tensor(timesteps.map { $0 - 1 }), Tensor(labels))
                objective = predicted.meanSquaredError(noise)
            }
            optimiser.learningRate = 4e-3 * min(1, Double(step + 1) / 50, Double(steps - step) / Double(steps / 2))
            optimiser.dropGradients()
            objective.backward()
            optimiser.clipGradients(to: 1)
            optimiser.step()
            average.update()
        }
        return denoiser.with(averaged)
    }
}

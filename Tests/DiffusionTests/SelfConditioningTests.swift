import Chain
import Diffusion
import Testing
import Torch

/// Says half of what it sees beside x_t; remembers what that was.
private struct EchoNetwork: DenoisingNetwork {
    final class Memory { var seen: [[Float]] = [] }

    let memory = Memory()
    var classEmbeddings: Int? { nil }
    var isSelfConditioned: Bool { true }

    func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
        let halves = x.chunked(2, 1)
        memory.seen.append(halves[1].floats)
        return halves[0] * 0.25 + halves[1] * 0.5
    }

    func name(_ parameters: inout ParameterNames) {}
}

struct SelfConditioningTests {
    private let schedule: Schedule

    init() throws { schedule = try Schedule(.cosine(), timesteps: 1000) }

    /// docs/maths.md (4.2), by hand: rows that are shown an estimate get x̂_0 of a first look with zeros, clipped; the others zeros.
    @Test func trainingShowsSomeRowsTheirEstimate() throws {
        let network = EchoNetwork(), denoiser = try Denoiser(network, on: schedule, labels: 0)
        let x = Tensor([Float](arrayLiteral: 0.5, -0.2, 0.9, -3), shape: [2, 1, 1, 2])
        let u = Tensor([Float](arrayLiteral: 1, 0.3, -0.4, 0.1), shape: [2, 1, 1, 2])
        let cuts = [300, 300], timesteps = [500, 700]
        let loss = backboneLoss(
            denoiser, masked: x, cuts: cuts, timesteps: timesteps, labels: [0, 0], noise: u,
            options: LossOptions(selfConditioned: [false, true]))
        // x_t of the second row, and what the network thinks of it at first sight: ε̂ = x_t/4.
        let bar = schedule.alphaBar(700), r = bar / schedule.alphaBar(300)
        let noised = zip(x[1].doubles, u[1].doubles).map { r.squareRoot() * $0 + (1 - r).squareRoot() * $1 }
        let estimate = noised.map { x in
            min(1, max(-1, (x - (1 - bar).squareRoot() * 0.25 * x) / bar.squareRoot()))
        }
        #expect(network.memory.seen.count == 2)
        #expect(network.memory.seen[0] == [0, 0])
        #expect(network.memory.seen[1][..<2] == [0, 0])
        for (seen, expected) in zip(network.memory.seen[1][2...], estimate) {
            #expect(abs(Double(seen) - expected) < 1e-5)
        }
        let lambda = ForwardStep(from: 300, to: 700, on: schedule).addedShare
        var sum = 0.0
        for (index, noise) in u[1].doubles.enumerated() {
            let said = 0.25 * noised[index] + 0.5 * estimate[index]
            sum += (lambda.squareRoot() * said - noise) * (lambda.squareRoot() * said - noise)
        }
        #expect(abs(loss.rows[1].loss - sum / 2) < 1e-5)
    }

    /// A network with twice the channels learns, shown its estimate in about half of the rows.
    @Test func aSelfConditionedHeadLearns() throws {
        var configuration = UNetConfiguration()
        configuration.blockOutChannels = [8]
        configuration.downBlocks = [.plain]
        configuration.upBlocks = [.plain]
        configuration.layersPerBlock = 1
        configuration.normGroups = 4
        configuration.inChannels = 2
        configuration.outChannels = 1
        configuration.isSelfConditioned = true
        configuration = try UNetConfiguration(json: configuration.json)
        #expect(configuration.isSelfConditioned && configuration.imageChannels == 1)
        try configuration.check(channels: 1, height: 4, width: 4)
        var source = ParameterSource(seed: 1), zeros = ParameterSource.zeros()
        var options = TrainerOptions()
        options.batch = 16
        options.warmUp = 5
        var trainer = Trainer(
            try Denoiser(UNet(configuration, &source), on: schedule, labels: 0),
            average: UNet(configuration, &zeros), options, seed: 4)
        let images = try PrivateImages(
            (0..<16).flatMap { _ in (0..<16).map { $0 < 8 ? Float(0.9) : -0.9 } }, shape: [16, 1, 4, 4])
        var first = LossReport(timesteps: 1000), last = first
        for step in 0..<80 {
            let rows = trainer.trainHead(
                images, labels: Array(repeating: 0, count: 16), cut: try Cut(500, on: schedule))
            if step < 15 { first.add(rows) } else if step >= 65 { last.add(rows) }
        }
        #expect(try #require(last.excess) < 0.6 * (try #require(first.excess)))
    }

    /// On the way to an image each pass sees x̂_0 of the one before, clipped, and the first sees zeros; a state that was written down
    /// and read again goes on as if it had not been.
    @Test func samplingShowsTheLastEstimate() throws {
        let network = EchoNetwork(), denoiser = try Denoiser(network, on: schedule, labels: 0)
        let plans = try [700, 400].map { start in
            SamplePlan(
                seed: 3, number: 0, label: 0, timesteps: try TimestepList(from: start, to: 0, steps: 3),
                sampler: .ddpm(), threshold: .none)
        }
        let start = try ChainState(
            received: Tensor([Float](arrayLiteral: 0.3, -2, 0.1, 0.7), shape: [2, 1, 1, 2]), at: [700, 400],
            imageShape: [1, 1, 2])
        var samples = plans.indices.map { SampleState(plans[$0], from: start, row: $0) }
        var images: [[Float]] = []
        for pass in 0..<3 {
            if pass == 2 {
                let written = try SampleState.archive(samples)
                samples = try SampleState.restored(from: written, imageShape: [1, 1, 2], on: schedule)
            }
            images.append(withoutGradients { denoiser.advance(&samples) }.floats)
        }
        #expect(network.memory.seen.count == 3)
        #expect(network.memory.seen[0] == [0, 0, 0, 0])
        #expect(images[0].contains { $0 < -1 || $0 > 1 })
        for pass in 1...2 { #expect(network.memory.seen[pass] == images[pass - 1].map { min(1, max(-1, $0)) }) }
    }

    @Test func channelsMustBeDoubled() throws {
        var configuration = UNetConfiguration()
        configuration.isSelfConditioned = true
        #expect { try UNetConfiguration(json: configuration.json) } throws: {
            ($0 as? DiffusionError)?.message.contains("'in_channels'") == true
        }
    }
}

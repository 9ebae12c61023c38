internal import Chain
internal import Diffusion
internal import Foundation
internal import Torch

/// This project's engine in this process: no socket, no sealing, no scheduler.
struct OwnEngine {
    private let denoiser: Denoiser<UNet>
    private let model: BenchModel
    private let threads: Int

    init(_ model: BenchModel, _ settings: DenoiseBench.Settings) throws {
        let network = try model.network()
        network.prepareForInference(dtype: settings.dtype)
        denoiser = try Denoiser(network, on: BenchModel.schedule(), labels: 0)
        self.model = model
        threads = settings.threads
    }

    /// Samples a second through one forward pass of `batch`.
    func forward(batch: Int, seconds: Double) -> Double {
        let x = model.noise(batch), times = Tensor((0..<batch).map { 37 * $0 % 1000 })
        return measured(seconds) {
            withoutGradients { _ = denoiser.network(x, times, nil).floats }
            return batch
        }
    }

    /// Samples·steps a second with `Workload.batch` samples under way, each replaced by the next when it is done.
    func sampling(seconds: Double) throws -> Double {
        let plans = try (0..<Workload.batch).map { try Workload.plan($0, on: denoiser.schedule) }
        func start(_ plan: SamplePlan) -> SampleState {
            let noise = ChainState(
                noiseFor: [(plan.seed, plan.number)], imageShape: model.imageShape, on: denoiser.schedule)
            return SampleState(plan, from: noise)
        }
        var samples = plans.map(start)
        return measured(seconds) {
            withoutGradients { _ = denoiser.advance(&samples) }
            for row in samples.indices where samples[row].isFinished { samples[row] = start(plans[row]) }
            return samples.count
        }
    }

    private func measured(_ seconds: Double, _ work: () -> Int) -> Double {
        Runtime.threads = threads
        Runtime.flushDenormals()
        return rate(seconds, work)
    }
}

/// Images a second through training steps as the trainer and the head make them: loss, gradient, clipping, AdamW, moving average.
func trainingRate(
    _ model: BenchModel, _ settings: DenoiseBench.Settings, _ precision: TrainerOptions.Precision, batch: Int
) throws -> Double {
    Runtime.threads = settings.threads
    Runtime.flushDenormals()
    var options = TrainerOptions()
    options.batch = batch
    options.precision = precision
    var trainer = Trainer(
        try Denoiser(model.network(), on: BenchModel.schedule(), labels: 0), average: try model.network(), options,
        seed: 3)
    var source = ParameterSource(seed: 4)
    let masked = source.normal([batch, model.channels, model.side, model.side]).detached()
    return rate(settings.seconds) {
        let rows = trainer.trainBackbone(
            masked: masked, cuts: Array(repeating: 100, count: batch),
            timesteps: (0..<batch).map { 101 + 29 * $0 % 900 }, labels: Array(repeating: 0, count: batch))
        return rows.count
    }
}

/// How much `work` does a second; it returns how much it did in one go. The first goes unmeasured.
func rate(_ seconds: Double, _ work: () -> Int) -> Double {
    _ = work()
    let clock = ContinuousClock(), start = clock.now
    var done = 0
    while clock.now - start < .seconds(seconds) { done += work() }
    return Double(done) / ((clock.now - start) / .seconds(1))
}

internal import Chain
internal import Diffusion
package import Torch

/// Whether a device computes what the CPU computes, and how fast it is with graphs and without: for whoever has one.
///
/// The same networks, with random weights, run on both; the CPU in float32 is the truth.
package struct DeviceCheck {
    package struct Settings: Sendable {
        package var device: Device
        package var models: [BenchModel] = [.small, .cifar]
        /// Length of each measurement.
        package var seconds = 3.0

        package init(device: Device) { self.device = device }
    }

    private let settings: Settings
    private var device: Device { settings.device }

    /// Of what a pass may differ from the CPU's in float32, of the largest value: what its type holds, and sums in another order.
    private static let limits: [(dtype: DType, error: Double)] = [
        (.float32, 1e-4), (.float16, 0.01), (.bfloat16, 0.03),
    ]
    /// Differences grow along a chain.
    private static let sampleLimit = 1e-3
    /// In samples.
    private static let widths = [1, 4, 16, 64]

    package init(_ settings: Settings) { self.settings = settings }

    /// - Parameter say: told of each line as soon as it is known.
    /// - Throws: `noDevice` of `TorchError`; what libtorch refuses.
    package func run(_ say: (String) -> Void) throws -> DeviceReport {
        try device.check()
        var report = DeviceReport(device: device, torch: Runtime.version)
        say("\(device), \(report.name), libtorch \(report.torch)")
        func add(_ check: DeviceReport.Check) {
            report.checks.append(check)
            say(check.text)
        }
        add(memory())
        for model in settings.models {
            try TorchError.catching {
                let truth = try pass(of: prepared(model, .float32, on: .cpu), model)
                for (dtype, limit) in Self.limits {
                    let network = try prepared(model, dtype, on: device)
                    let called = pass(of: network, model)
                    add(.init("\(model), a pass in \(dtype)", differs: called, from: truth, atMost: limit))
                    add(replay(network, model, dtype, called))
                }
                add(
                    .init(
                        "\(model), whole samples in float32", differs: try samples(model, on: device),
                        from: try samples(model, on: .cpu), atMost: Self.sampleLimit))
            }
            for width in Self.widths {
                let speed = try speed(model, width)
                report.speeds.append(speed)
                say(speed.text)
            }
            device.releaseMemory()
        }
        return report
    }

    private func prepared(_ model: BenchModel, _ dtype: DType, on device: Device) throws -> UNet {
        let network = try model.network()
        network.prepareForInference(dtype: dtype, device: device)
        return network
    }

    /// On the CPU.
    private func pass(of network: some DenoisingNetwork, _ model: BenchModel) -> Tensor {
        let x = model.noise(3), times = Tensor([999, 370, 0])
        return withoutGradients { network(x, times, nil) }
    }

    /// A pass run from a recording against the pass as it was called.
    private func replay(_ network: UNet, _ model: BenchModel, _ dtype: DType, _ called: Tensor) -> DeviceReport.Check {
        let name = "\(model), a recorded pass in \(dtype)"
        var reason = "it was not run"
        var limits = RecordedCalls.Limits(patience: 0, tolerance: RecordedNetwork<UNet>.tolerance(of: dtype))
        limits.share = .infinity  // However long it takes.
        let calls = RecordedCalls(limits, by: GraphRecorder(device)) { reason = "\($0)" }
        let recorded = RecordedNetwork(network, on: device, calls: calls)
        _ = pass(of: recorded, model)  // The trial.
        guard calls.recordedKinds == 1 else {
            return .init(name, failed: reason, isFailure: (try? DeviceGraph(on: device)) != nil)
        }
        return .init(name, differs: pass(of: recorded, model), from: called, atMost: limits.tolerance)
    }

    /// Mixed samplers, step counts and cuts, from the same seeds on every device [N, C, H, W].
    private func samples(_ model: BenchModel, on device: Device) throws -> Tensor {
        let denoiser = try Denoiser(prepared(model, .float32, on: device), on: BenchModel.schedule(), labels: 0)
        var samples = try (0..<4).map { number in
            let plan = try Workload.plan(number, on: denoiser.schedule)
            let start = ChainState(
                noiseFor: [(plan.seed, plan.number)], imageShape: model.imageShape, on: denoiser.schedule)
            return SampleState(plan, from: start).on(device)
        }
        withoutGradients {
            while !samples.allSatisfy(\.isFinished) {
                let rows = samples.indices.filter { !samples[$0].isFinished }
                var moving = rows.map { samples[$0] }
                denoiser.advance(&moving)
                for (row, sample) in zip(rows, moving) { samples[row] = sample }
            }
        }
        return Tensor.concatenated(samples.map(\.x), 0).to(.cpu)
    }

    /// What there is no memory for is told apart from other failures, and does no harm.
    private func memory() -> DeviceReport.Check {
        let name = "more memory than there is"
        do {
            try TorchError.catching { _ = Tensor.zeros([1 << 50], device: device) }
            return .init(name, failed: "was given", isFailure: true)
        } catch let error as TorchError where error.code == .outOfMemory {
            let left = Tensor.ones([1000], device: device).sum()
            return .init(name, differs: left, from: Tensor.full(1000, [], device: device), atMost: 0)
        } catch { return .init(name, failed: "\(error)", isFailure: true) }
    }

    /// In the type that a worker takes there.
    private func speed(_ model: BenchModel, _ width: Int) throws -> DeviceReport.Speed {
        let dtype = device.fastest
        return try TorchError.catching {
            let network = try prepared(model, dtype, on: device)
            let calls = RecordedCalls(
                .init(patience: 0, tolerance: RecordedNetwork<UNet>.tolerance(of: dtype)), by: GraphRecorder(device)
            ) { _ in }
            let x = model.noise(width).to(device), times = Tensor((0..<width).map { 37 * $0 % 1000 }).to(device)
            func measured(_ network: some DenoisingNetwork) -> Double {
                rate(settings.seconds) {
                    withoutGradients { _ = network(x, times, nil) }
                    try? device.finish()
                    return width
                }
            }
            let called = measured(network), recorded = measured(RecordedNetwork(network, on: device, calls: calls))
            return .init(
                model: model.rawValue, dtype: dtype.description, width: width, called: called,
                recorded: calls.recordedKinds == 1 ? recorded : nil)
        }
    }
}

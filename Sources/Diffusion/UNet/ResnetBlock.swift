internal import Torch

/// h = conv₁(resample(act(norm₁(x)))), then h ← norm₂(h + W·act(e)) or norm₂(h)·(1 + a) + b with [a, b] = W·act(e),
/// y = (shortcut(resample(x)) + conv₂(act(h)))/scale
///
/// x [N, inputs, H, W], e [N, time] → [N, outputs, H', W'], where H' = H, H/2 or 2·H.
struct ResnetBlock: Module {
    enum Resample { case none, down, up }

    private let norm1: GroupNorm
    private let conv1: Conv2d
    private let timeProjection: Linear
    private let norm2: GroupNorm
    private let conv2: Conv2d
    private let shortcut: Conv2d?
    private let activation: Activation
    private let entry: UNetConfiguration.TimeEntry
    private let resample: Resample
    private let scale: Double

    init(
        _ inputs: Int, _ outputs: Int, _ configuration: UNetConfiguration, resample: Resample = .none,
        scale: Double = 1,
        _ source: inout ParameterSource
    ) {
        let groups = configuration.normGroups, epsilon = configuration.normEpsilon
        norm1 = GroupNorm(groups: groups, inputs, epsilon: epsilon, &source)
        conv1 = Conv2d(inputs, outputs, kernel: 3, padding: 1, &source)
        let entries = configuration.timeEntry == .scaleShift ? 2 * outputs : outputs
        timeProjection = Linear(configuration.timeWidth, entries, &source)
        norm2 = GroupNorm(groups: groups, outputs, epsilon: epsilon, &source)
        conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, &source)
        shortcut = inputs == outputs ? nil : Conv2d(inputs, outputs, kernel: 1, &source)
        activation = configuration.activation
        entry = configuration.timeEntry
        self.resample = resample
        self.scale = scale
    }

    /// - Parameter time: act(e), which all blocks share.
    func callAsFunction(_ x: Tensor, _ time: Tensor) -> Tensor {
        var h = conv1(resampled(activation(norm1, x)))
        let entering = timeProjection(time)
        switch entry {
        case .add:
            h = activation(norm2, h, shift: entering)
        case .scaleShift:
            let parts = entering.unsqueezed(-1).unsqueezed(-1).chunked(2, 1)
            h = activation(norm2(h) * (parts[0] + 1) + parts[1])
        }
        h = conv2(h)
        let straight = resampled(x)
        let sum = (shortcut.map { $0(straight) } ?? straight) + h
        return scale == 1 ? sum : sum / scale
    }

    private func resampled(_ x: Tensor) -> Tensor {
        switch resample {
        case .none: x
        case .down: x.averagePooled(2)
        case .up: x.upsampledNearest(height: 2 * x.size(2), width: 2 * x.size(3))
        }
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("norm1", norm1)
        parameters.add("conv1", conv1)
        parameters.add("time_emb_proj", timeProjection)
        parameters.add("norm2", norm2)
        parameters.add("conv2", conv2)
        parameters.add("conv_shortcut", shortcut)
    }
}

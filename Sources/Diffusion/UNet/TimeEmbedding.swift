internal import Foundation
internal import Torch

/// e(t) = W₂·silu(W₁·s(t) + b₁) + b₂ with s(t) = [cos(t·f), sin(t·f)], f_i = 10000^(−i/(n/2 − shift)): diffusers' positional embedding.
///
/// timesteps [N] → [N, outputs]
struct TimeEmbedding: Module {
    /// f [n/2], made with libtorch's float32 operations in diffusers' order: at t = 999 a last digit of f is the fourth of sin(t·f).
    private let frequencies: Tensor
    private let isOdd: Bool
    private let cosineFirst: Bool
    private let linear1: Linear
    private let linear2: Linear

    init(_ channels: Int, outputs: Int, freqShift: Double, cosineFirst: Bool, _ source: inout ParameterSource) {
        let half = channels / 2
        frequencies = (Tensor.arange(to: Double(half)) * -log(10_000) / (Double(half) - freqShift)).exp()
        isOdd = !channels.isMultiple(of: 2)
        self.cosineFirst = cosineFirst
        linear1 = Linear(channels, outputs, &source)
        linear2 = Linear(outputs, outputs, &source)
    }

    func callAsFunction(_ timesteps: Tensor) -> Tensor {
        let angles = timesteps.to(.float32).unsqueezed(1) * frequencies.to(timesteps.device)
        let halves = [angles.sin(), angles.cos()]
        var waves = Tensor.concatenated(cosineFirst ? halves.reversed() : halves, 1)
        if isOdd { waves = waves.padded([0, 1]) }
        return linear2(linear1(waves.to(linear1.weight.dtype)).silu())
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("linear_1", linear1)
        parameters.add("linear_2", linear2)
    }
}

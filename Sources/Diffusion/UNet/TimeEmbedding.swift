internal import Foundation
internal import Torch

/// s(t), what is known of a timestep before anything is learned of it, or nearly.
///
/// timesteps [N] → [N, width]
enum TimeProjection: Module {
    /// s(t) = [cos(t·f), sin(t·f)] or the other way round, f_i = 10000^(−i/(n/2 − shift)), padded with a zero where n is odd.
    ///
    /// f [n/2] is made with libtorch's float32 operations in diffusers' order: at t = 999 a last digit of f is the fourth of sin(t·f).
    case positional(frequencies: Everywhere, isOdd: Bool, cosineFirst: Bool)
    /// s(σ) = [sin(2π·f·ln σ), cos(2π·f·ln σ)] with f [n] drawn once, 16·N(0, 1).
    case fourier(frequencies: Tensor)
    /// s(t) = W[t]
    case learned(Embedding)

    init(_ configuration: UNetConfiguration, _ source: inout ParameterSource) {
        let channels = configuration.blockOutChannels[0]
        switch configuration.timeEmbeddingType {
        case .positional:
            let half = channels / 2
            self = .positional(
                frequencies: Everywhere(
                    (Tensor.arange(to: Double(half)) * -log(10_000) / (Double(half) - configuration.freqShift)).exp()),
                isOdd: !channels.isMultiple(of: 2), cosineFirst: configuration.flipSinToCos)
        case .fourier:
            let frequencies = source.normal([channels]).detached() * 16
            self = .fourier(frequencies: frequencies.to(.float32))
        case .learned:
            self = .learned(Embedding(configuration.trainTimesteps ?? 1, channels, &source))
        }
    }

    /// n, or 2·n where waves of both kinds come of each frequency.
    static func width(_ configuration: UNetConfiguration) -> Int {
        configuration.blockOutChannels[0] * (configuration.timeEmbeddingType == .fourier ? 2 : 1)
    }

    func callAsFunction(_ timesteps: Tensor) -> Tensor {
        switch self {
        case .positional(let frequencies, let isOdd, let cosineFirst):
            let angles = timesteps.to(.float32).unsqueezed(1) * frequencies.on(timesteps.device)
            let halves = [angles.sin(), angles.cos()]
            let waves = Tensor.concatenated(cosineFirst ? halves.reversed() : halves, 1)
            return isOdd ? waves.padded([0, 1]) : waves
        case .fourier(let frequencies):
            let angles =
                timesteps.to(.float32).log().unsqueezed(1) * frequencies.to(.float32).to(timesteps.device) * 2
                * Double.pi
            return Tensor.concatenated([angles.sin(), angles.cos()], 1)
        case .learned(let table):
            return table(timesteps.to(.int64))
        }
    }

    func name(_ parameters: inout ParameterNames) {
        switch self {
        case .positional: break
        case .fourier(let frequencies): parameters.add("weight", frequencies)
        case .learned(let table): table.name(&parameters)
        }
    }
}

/// A constant, which is no parameter and so does not move with the network: uploaded once, and not in each pass.
final class Everywhere {
    private let value: Tensor
    private var elsewhere: (device: Device, value: Tensor)?

    /// - Parameter value: on the CPU.
    init(_ value: Tensor) { self.value = value }

    func on(_ device: Device) -> Tensor {
        if device == .cpu { return value }
        if let elsewhere, elsewhere.device == device { return elsewhere.value }
        let moved = value.to(device)
        if moved.isDefined { elsewhere = (device, moved) }
        return moved
    }
}

/// e = W₂·act(W₁·s + b₁) + b₂
///
/// s [N, inputs] → [N, outputs]
struct TimeEmbedding: Module {
    private let linear1: Linear
    private let linear2: Linear
    private let activation: Activation

    init(_ inputs: Int, outputs: Int, _ activation: Activation, _ source: inout ParameterSource) {
        linear1 = Linear(inputs, outputs, &source)
        linear2 = Linear(outputs, outputs, &source)
        self.activation = activation
    }

    func callAsFunction(_ s: Tensor) -> Tensor { linear2(activation(linear1(s.to(linear1.weight.dtype)))) }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("linear_1", linear1)
        parameters.add("linear_2", linear2)
    }
}

/// What a class adds to the time embedding.
enum ClassEmbedding: Module {
    /// labels [N] int64 → [N, width]
    case table(Embedding)
    /// labels [N], numbers that are embedded as timesteps are, by layers of their own
    case timestep(TimeEmbedding)
    /// labels [N, width]
    case identity

    init?(_ configuration: UNetConfiguration, _ activation: Activation, _ source: inout ParameterSource) {
        switch configuration.classEmbedding {
        case .timestep:
            self = .timestep(
                TimeEmbedding(
                    TimeProjection.width(configuration), outputs: configuration.timeWidth, activation, &source))
        case .identity:
            self = .identity
        case nil:
            guard let rows = configuration.classEmbeddings else { return nil }
            self = .table(Embedding(rows, configuration.timeWidth, &source))
        }
    }

    func callAsFunction(_ labels: Tensor, _ projection: TimeProjection) -> Tensor {
        switch self {
        case .table(let table): table(labels)
        case .timestep(let embedding): embedding(projection(labels))
        case .identity: labels
        }
    }

    func name(_ parameters: inout ParameterNames) {
        switch self {
        case .table(let table): table.name(&parameters)
        case .timestep(let embedding): embedding.name(&parameters)
        case .identity: break
        }
    }
}

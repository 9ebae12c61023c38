internal import Torch

/// Lets every pixel look at the others and at the text: y = x + out(layers(in(norm(x)))). diffusers' `Transformer2DModel`.
///
/// x [N, C, H, W], text [N, S, D] → [N, C, H, W]
struct TextTransformer: Module {
    private let norm: GroupNorm
    private let entry: Projection
    private let layers: [TextTransformerLayer]
    private let exit: Projection

    /// The same numbers either way: a convolution of one pixel is a linear layer over channels.
    private enum Projection: Module {
        case linear(Linear)
        case convolution(Conv2d)

        init(_ channels: Int, linear: Bool, _ source: inout ParameterSource) {
            self =
                linear
                ? .linear(Linear(channels, channels, &source))
                : .convolution(Conv2d(channels, channels, kernel: 1, &source))
        }

        /// pixels [N, H·W, C] → the same shape.
        func callAsFunction(_ pixels: Tensor) -> Tensor {
            switch self {
            case .linear(let linear): linear(pixels)
            case .convolution(let one): pixels.linear(one.weight.flattened(1), one.bias)
            }
        }

        func name(_ parameters: inout ParameterNames) {
            switch self {
            case .linear(let linear): linear.name(&parameters)
            case .convolution(let one): one.name(&parameters)
            }
        }
    }

    /// diffusers' own, whatever the U-Net's is.
    private static let normEpsilon = 1e-6

    /// - Parameters:
    ///   - level: the resolution, 0 the highest.
    ///   - crossOnly: whether pixels look at the text alone.
    init(
        _ channels: Int, level: Int, crossOnly: Bool, _ configuration: UNetConfiguration,
        _ text: UNetConfiguration.Text, _ source: inout ParameterSource
    ) {
        norm = GroupNorm(groups: configuration.normGroups, channels, epsilon: Self.normEpsilon, &source)
        entry = Projection(channels, linear: text.linearProjection, &source)
        var layers: [TextTransformerLayer] = []
        for _ in 0..<text.layers[level] {
            layers.append(
                TextTransformerLayer(
                    channels, heads: text.heads[level], context: text.width, crossOnly: crossOnly, &source))
        }
        self.layers = layers
        exit = Projection(channels, linear: text.linearProjection, &source)
    }

    func callAsFunction(_ x: Tensor, _ text: Tensor?) -> Tensor {
        var h = entry(norm(x).pixelsLast())
        for layer in layers { h = layer(h, text) }
        return exit(h).pixelsFirst(like: x.shape) + x
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("norm", norm)
        parameters.add("proj_in", entry)
        parameters.add("transformer_blocks", layers)
        parameters.add("proj_out", exit)
    }
}

/// h ← h + attention(norm₁(h)); h ← h + attention(norm₂(h), text); h ← h + W₂·(a·gelu(g)) with [a, g] = W₁·norm₃(h).
///
/// h [N, L, C], text [N, S, D] → [N, L, C]
struct TextTransformerLayer: Module {
    private let norm1: LayerNorm
    private let first: HeadedAttention
    private let norm2: LayerNorm
    private let second: HeadedAttention
    private let norm3: LayerNorm
    private let gate: Linear
    private let out: Linear
    private let crossOnly: Bool

    /// Width of the feed-forward part over the channels.
    private static let widening = 4

    /// - Parameters:
    ///   - context: D
    ///   - crossOnly: whether h looks at the text in its first attention too.
    init(_ channels: Int, heads: Int, context: Int, crossOnly: Bool, _ source: inout ParameterSource) {
        let width = channels / heads, inner = Self.widening * channels
        self.crossOnly = crossOnly
        norm1 = LayerNorm(channels, &source)
        first = HeadedAttention(
            channels, heads: heads, width: width, context: crossOnly ? context : nil, bias: false, &source)
        norm2 = LayerNorm(channels, &source)
        second = HeadedAttention(channels, heads: heads, width: width, context: context, bias: false, &source)
        norm3 = LayerNorm(channels, &source)
        gate = Linear(channels, 2 * inner, &source)
        out = Linear(inner, channels, &source)
    }

    func callAsFunction(_ x: Tensor, _ text: Tensor?) -> Tensor {
        var h = x + first(norm1(x), crossOnly ? text : nil)
        h = h + second(norm2(h), text)
        let parts = gate(norm3(h)).chunked(2, -1)
        return h + out(parts[0] * parts[1].gelu())
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("norm1", norm1)
        parameters.add("attn1", first)
        parameters.add("norm2", norm2)
        parameters.add("attn2", second)
        parameters.add("norm3", norm3)
        parameters.add("ff.net.0.proj", gate)
        parameters.add("ff.net.2", out)
    }
}

/// What follows a residual block where its pixels look around.
enum Mixer: Module {
    case attention(AttentionBlock)
    case transformer(TextTransformer)

    func callAsFunction(_ x: Tensor, _ text: Tensor?) -> Tensor {
        switch self {
        case .attention(let block): block(x)
        case .transformer(let block): block(x, text)
        }
    }

    func name(_ parameters: inout ParameterNames) {
        switch self {
        case .attention(let block): block.name(&parameters)
        case .transformer(let block): block.name(&parameters)
        }
    }
}

extension Mixer {
    /// That of a block; nil: it has none.
    ///
    /// - Parameters:
    ///   - attends: whether the block is one of attention among pixels.
    ///   - reads: whether it is one that looks at text.
    ///   - isMiddle: whether it is the lowest, which `only_cross_attention` does not reach.
    init?(
        _ channels: Int, level: Int, attends: Bool, reads: Bool, isMiddle: Bool = false,
        _ configuration: UNetConfiguration, _ source: inout ParameterSource
    ) {
        if attends {
            self = .attention(AttentionBlock(channels, configuration, groups: configuration.normGroups, &source))
        } else if reads, let text = configuration.text {
            self = .transformer(
                TextTransformer(
                    channels, level: level, crossOnly: text.crossOnly && !isMiddle, configuration, text, &source))
        } else {
            return nil
        }
    }
}

internal import Torch

/// y = (x + W_o·softmax(q·kᵀ/√d)·v)/scale over the pixels of an image, with q, k, v linear in norm(x) and split into heads of d.
///
/// x [N, C, H, W] → [N, C, H, W]
struct AttentionBlock: Module {
    private let norm: GroupNorm?
    private let attention: HeadedAttention
    private let scale: Double

    /// - Parameter groups: nil: without a norm.
    init(
        _ channels: Int, _ configuration: UNetConfiguration, groups: Int?, scale: Double = 1,
        _ source: inout ParameterSource
    ) {
        let width = configuration.attentionHeadDim ?? channels
        norm = groups.map { GroupNorm(groups: $0, channels, epsilon: configuration.normEpsilon, &source) }
        attention = HeadedAttention(channels, heads: channels / width, width: width, bias: true, &source)
        self.scale = scale
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let shape = x.shape
        let sum = attention((norm.map { $0(x) } ?? x).pixelsLast()).pixelsFirst(like: shape) + x
        return scale == 1 ? sum : sum / scale
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("group_norm", norm)
        attention.name(&parameters)
    }
}

/// W_o·softmax(q·kᵀ/√d)·v + b_o with q = W_q·x and k, v = W_k·c, W_v·c, split into heads of d.
///
/// x [N, L, channels], c [N, S, context] → [N, L, channels]. Without c, x looks at itself.
struct HeadedAttention: Module {
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let out: Linear
    private let heads: Int

    /// - Parameters:
    ///   - width: d, channels of one head.
    ///   - context: width of what is looked at; nil: as wide as x.
    init(
        _ channels: Int, heads: Int, width: Int, context: Int? = nil, bias: Bool, _ source: inout ParameterSource
    ) {
        self.heads = heads
        query = Linear(channels, heads * width, bias: bias, &source)
        key = Linear(context ?? channels, heads * width, bias: bias, &source)
        value = Linear(context ?? channels, heads * width, bias: bias, &source)
        out = Linear(heads * width, channels, &source)
    }

    func callAsFunction(_ x: Tensor, _ context: Tensor? = nil) -> Tensor {
        let seen = context ?? x
        func split(_ y: Tensor) -> Tensor { y.reshaped(y.size(0), y.size(1), heads, -1).transposed(1, 2) }
        let mixed = split(query(x)).attention(split(key(seen)), split(value(seen)))
        return out(mixed.transposed(1, 2).reshaped(x.size(0), x.size(1), -1))
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("to_q", query)
        parameters.add("to_k", key)
        parameters.add("to_v", value)
        parameters.add("to_out.0", out)
    }
}

extension Tensor {
    /// [N, C, H, W] → [N, H·W, C]
    func pixelsLast() -> Tensor { flattened(2).transposed(1, 2) }

    /// [N, H·W, C] → [N, C, H, W]
    func pixelsFirst(like shape: [Int]) -> Tensor {
        shape.count == 4 ? transposed(1, 2).reshaped(shape[0], size(2), shape[2], shape[3]) : self
    }
}

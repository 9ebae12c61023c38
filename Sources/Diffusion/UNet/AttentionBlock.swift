internal import Torch

/// y = (x + W_o·softmax(q·kᵀ/√d)·v)/scale over the pixels of an image, with q, k, v linear in norm(x) and split into heads of d.
///
/// x [N, C, H, W] → [N, C, H, W]
struct AttentionBlock: Module {
    private let norm: GroupNorm?
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let out: Linear
    private let heads: Int
    private let scale: Double

    /// - Parameter groups: nil: without a norm.
    init(
        _ channels: Int, _ configuration: UNetConfiguration, groups: Int?, scale: Double = 1,
        _ source: inout ParameterSource
    ) {
        let width = configuration.attentionHeadDim ?? channels
        heads = channels / width
        norm = groups.map { GroupNorm(groups: $0, channels, epsilon: configuration.normEpsilon, &source) }
        query = Linear(channels, heads * width, &source)
        key = Linear(channels, heads * width, &source)
        value = Linear(channels, heads * width, &source)
        out = Linear(heads * width, channels, &source)
        self.scale = scale
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let n = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3)
        let pixels = (norm.map { $0(x) } ?? x).reshaped(n, channels, height * width).transposed(1, 2)
        func split(_ y: Tensor) -> Tensor { y.reshaped(n, height * width, heads, -1).transposed(1, 2) }
        let mixed = split(query(pixels)).attention(split(key(pixels)), split(value(pixels)))
        let joined = out(mixed.transposed(1, 2).reshaped(n, height * width, -1))
        let sum = joined.transposed(1, 2).reshaped(n, channels, height, width) + x
        return scale == 1 ? sum : sum / scale
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("group_norm", norm)
        parameters.add("to_q", query)
        parameters.add("to_k", key)
        parameters.add("to_v", value)
        parameters.add("to_out.0", out)
    }
}

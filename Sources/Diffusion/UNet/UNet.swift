package import Torch

/// diffusers' `UNet2DModel` and `UNet2DConditionModel`: same structure, same parameter names, so that checkpoints go both ways.
///
///     let network = try UNet(contentsOf: folder, dtype: .bfloat16)
///     let noise = network(x, timesteps, labels)               // [N, C, H, W]; timesteps as in diffusers, t − 1
///     let other = network(x, timesteps, nil, text: prompts)   // prompts [N, S, D], made by a text encoder elsewhere
///
///     x ─ conv_in ─ down 0 ─ down 1 ─ … ─ mid ─ … ─ up n−1 ─ up n ─ norm, act, conv_out
///            │        │        └─────── skips ──────┘        │
///            └────────┴───────────────────────────────────────┘
///
/// Sides must be divisible by two once for each resolution but the first. Type, device and layout are those of the parameters:
/// `convert(to:device:format:)` changes them. Inputs are brought to the parameters' type and device, the output back to those of x.
package struct UNet: DenoisingNetwork {
    package let configuration: UNetConfiguration
    private let convIn: Conv2d
    private let timeProjection: TimeProjection
    private let time: TimeEmbedding
    private let classes: ClassEmbedding?
    private let downBlocks: [DownBlock]
    private let midBlock: MidBlock?
    private let upBlocks: [UpBlock]
    private let normOut: GroupNorm
    private let activationOut: Activation
    private let convOut: Conv2d

    package var classEmbeddings: Int? { configuration.classEmbeddings }
    package var isSelfConditioned: Bool { configuration.isSelfConditioned }

    /// The type that it computes in.
    package var dtype: DType { convIn.weight.dtype }
    package var device: Device { convIn.weight.device }

    package init(_ configuration: UNetConfiguration, _ source: inout ParameterSource) {
        let channels = configuration.blockOutChannels, last = channels.count - 1
        // A UNet2DModel's act_fn is that of its residual blocks alone.
        let outside = configuration.text == nil ? Activation.silu : configuration.activation
        self.configuration = configuration
        convIn = Conv2d(configuration.inChannels, channels[0], kernel: 3, padding: 1, &source)
        timeProjection = TimeProjection(configuration, &source)
        time = TimeEmbedding(
            TimeProjection.width(configuration), outputs: configuration.timeWidth, outside, &source)
        classes = ClassEmbedding(configuration, outside, &source)
        var downBlocks: [DownBlock] = []
        for (level, kind) in configuration.downBlocks.enumerated() {
            downBlocks.append(
                DownBlock(kind, channels[max(0, level - 1)], channels[level], level: level, configuration, &source))
        }
        var midBlock: MidBlock?
        if let kind = configuration.midBlock { midBlock = MidBlock(kind, channels[last], configuration, &source) }
        var upBlocks: [UpBlock] = []
        for (index, kind) in configuration.upBlocks.enumerated() {
            let level = last - index
            upBlocks.append(
                UpBlock(
                    kind, inputs: channels[max(0, level - 1)], previous: channels[min(last, level + 1)],
                    channels[level], level: level, configuration, &source))
        }
        self.downBlocks = downBlocks
        self.midBlock = midBlock
        self.upBlocks = upBlocks
        normOut = GroupNorm(groups: configuration.normGroups, channels[0], epsilon: configuration.normEpsilon, &source)
        activationOut = outside
        convOut = Conv2d(channels[0], configuration.outChannels, kernel: 3, padding: 1, &source)
    }

    package var textWidth: Int? { configuration.wantsText ? configuration.text?.width : nil }
    package func checkChain() throws(DiffusionError) { try configuration.checkChain() }

    package func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
        self(x, timesteps, labels, text: nil)
    }

    /// - Parameters:
    ///   - x: [N, C, H, W]
    ///   - timesteps: [N]; noise levels σ > 0 where the time embedding is `fourier`.
    ///   - labels: [N], or [N, time width] where classes enter by `identity`; nil where there are none.
    ///   - text: [N, S, D]; nil where no block looks at it.
    package func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?, text: Tensor?) -> Tensor {
        let timesteps = timesteps.to(device)
        var embedding = time(timeProjection(timesteps))
        if let classes, let labels = labels?.to(device) {
            embedding = embedding + classes(labels, timeProjection).to(dtype)
        }
        let activated = configuration.activation(embedding)  // every residual block begins with it
        let text = text?.to(device).to(dtype)
        let here = x.to(device)
        var h = convIn((configuration.centerInputSample ? 2 * here - 1 : here).to(dtype))
        var skips = [h]
        for block in downBlocks {
            let outputs = block(h, activated, text)
            skips += outputs
            h = outputs[outputs.count - 1]
        }
        if let midBlock { h = midBlock(h, activated, text) }
        for block in upBlocks { h = block(h, &skips, activated, text) }
        let output = convOut(activationOut(normOut, h)).to(x.dtype).to(x.device)
        guard configuration.timeEmbeddingType == .fourier else { return output }
        return output / timesteps.to(x.dtype).to(x.device).reshaped(-1, 1, 1, 1)
    }

    package func name(_ parameters: inout ParameterNames) {
        parameters.add("conv_in", convIn)
        parameters.add("time_proj", timeProjection)
        parameters.add("time_embedding", time)
        parameters.add("class_embedding", classes)
        parameters.add("down_blocks", downBlocks)
        parameters.add("mid_block", midBlock)
        parameters.add("up_blocks", upBlocks)
        parameters.add("conv_norm_out", normOut)
        parameters.add("conv_out", convOut)
    }
}

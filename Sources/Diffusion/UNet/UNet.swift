package import Torch

/// diffusers' `UNet2DModel`: same structure, same parameter names, so that checkpoints go both ways.
///
///     var source = ParameterSource(seed: 1)
///     let network = UNet(try UNetConfiguration(json: text), &source)
///     let noise = network(x, timesteps, labels)       // [N, C, H, W]; timesteps as in diffusers, t − 1
///
///     x ─ conv_in ─ down 0 ─ down 1 ─ … ─ mid ─ … ─ up n−1 ─ up n ─ norm, silu, conv_out
///            │        │        └─────── skips ──────┘        │
///            └────────┴───────────────────────────────────────┘
///
/// Sides must be divisible by two once for each resolution but the first.
package struct UNet: DenoisingNetwork {
    package let configuration: UNetConfiguration
    private let convIn: Conv2d
    private let time: TimeEmbedding
    private let classes: Embedding?
    private let downBlocks: [DownBlock]
    private let midBlock: MidBlock?
    private let upBlocks: [UpBlock]
    private let normOut: GroupNorm
    private let convOut: Conv2d

    package var classEmbeddings: Int? { configuration.classEmbeddings }

    package init(_ configuration: UNetConfiguration, _ source: inout ParameterSource) {
        let channels = configuration.blockOutChannels, last = channels.count - 1
        self.configuration = configuration
        convIn = Conv2d(configuration.inChannels, channels[0], kernel: 3, padding: 1, &source)
        time = TimeEmbedding(
            channels[0], outputs: configuration.timeWidth, freqShift: configuration.freqShift,
            cosineFirst: configuration.flipSinToCos, &source)
        classes = configuration.classEmbeddings.map { Embedding($0, configuration.timeWidth, &source) }
        var downBlocks: [DownBlock] = []
        for (index, kind) in configuration.downBlocks.enumerated() {
            downBlocks.append(
                DownBlock(
                    kind, channels[max(0, index - 1)], channels[index], isLast: index == last, configuration, &source))
        }
        midBlock = configuration.hasMidBlock ? MidBlock(channels[last], configuration, &source) : nil
        var upBlocks: [UpBlock] = []
        for (index, kind) in configuration.upBlocks.enumerated() {
            let level = last - index
            upBlocks.append(
                UpBlock(
                    kind, inputs: channels[max(0, level - 1)], previous: channels[min(last, level + 1)],
                    channels[level],
                    isLast: index == last, configuration, &source))
        }
        self.downBlocks = downBlocks
        self.upBlocks = upBlocks
        normOut = GroupNorm(groups: configuration.normGroups, channels[0], epsilon: configuration.normEpsilon, &source)
        convOut = Conv2d(channels[0], configuration.outChannels, kernel: 3, padding: 1, &source)
    }

    package func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
        var embedding = time(timesteps)
        if let classes, let labels { embedding = embedding + classes(labels) }
        let activated = embedding.silu()  // every block begins with it
        var h = convIn(configuration.centerInputSample ? 2 * x - 1 : x)
        var skips = [h]
        for block in downBlocks {
            let outputs = block(h, activated)
            skips += outputs
            h = outputs[outputs.count - 1]
        }
        if let midBlock { h = midBlock(h, activated) }
        for block in upBlocks { h = block(h, &skips, activated) }
        return convOut(normOut(h).silu())
    }

    package func name(_ parameters: inout ParameterNames) {
        parameters.add("conv_in", convIn)
        parameters.add("time_embedding", time)
        parameters.add("class_embedding", classes)
        parameters.add("down_blocks", downBlocks)
        parameters.add("mid_block", midBlock)
        parameters.add("up_blocks", upBlocks)
        parameters.add("conv_norm_out", normOut)
        parameters.add("conv_out", convOut)
    }
}

internal import Torch

/// One resolution on the way down: residual blocks, each followed by attention where the block has it, then half the size.
///
/// x [N, inputs, H, W] → what each layer put out, the last of them at half the size unless this is the last block.
struct DownBlock: Module {
    private let resnets: [ResnetBlock]
    private let attentions: [AttentionBlock]
    private let downsampler: Resampler?

    init(
        _ kind: UNetConfiguration.DownBlock, _ inputs: Int, _ outputs: Int, isLast: Bool,
        _ configuration: UNetConfiguration,
        _ source: inout ParameterSource
    ) {
        var resnets: [ResnetBlock] = []
        var attentions: [AttentionBlock] = []
        for layer in 0..<configuration.layersPerBlock {
            resnets.append(ResnetBlock(layer == 0 ? inputs : outputs, outputs, configuration, &source))
            if kind == .attention {
                attentions.append(AttentionBlock(outputs, configuration, groups: configuration.normGroups, &source))
            }
        }
        self.resnets = resnets
        self.attentions = attentions
        let sampling: UNetConfiguration.Resampling =
            switch kind {
            case .plain: .conv
            case .attention: configuration.downsampleType
            case .resnet: .resnet
            }
        downsampler = isLast ? nil : .down(outputs, sampling, configuration, &source)
    }

    func callAsFunction(_ x: Tensor, _ time: Tensor) -> [Tensor] {
        var outputs: [Tensor] = []
        var h = x
        for (layer, resnet) in resnets.enumerated() {
            h = resnet(h, time)
            if !attentions.isEmpty { h = attentions[layer](h) }
            outputs.append(h)
        }
        if let downsampler { outputs.append(downsampler(h, time)) }
        return outputs
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("attentions", attentions)
        parameters.add("resnets", resnets)
        parameters.add("downsamplers", downsampler.map { [$0] } ?? [])
    }
}

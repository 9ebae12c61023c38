internal import Torch

/// One resolution on the way down: residual blocks, each followed by attention or a transformer where the block has it, then half the size.
///
/// x [N, inputs, H, W] → what each layer put out, the last of them at half the size unless this is the last block.
struct DownBlock: Module {
    private let resnets: [ResnetBlock]
    private let mixers: [Mixer]
    private let downsampler: Resampler?

    /// - Parameter level: the resolution, 0 the highest.
    init(
        _ kind: UNetConfiguration.DownBlock, _ inputs: Int, _ outputs: Int, level: Int,
        _ configuration: UNetConfiguration, _ source: inout ParameterSource
    ) {
        var resnets: [ResnetBlock] = []
        var mixers: [Mixer] = []
        for layer in 0..<configuration.layersPerBlock {
            resnets.append(ResnetBlock(layer == 0 ? inputs : outputs, outputs, configuration, &source))
            let mixer = Mixer(
                outputs, level: level, attends: kind == .attention, reads: kind == .crossAttention, configuration,
                &source)
            if let mixer { mixers.append(mixer) }
        }
        self.resnets = resnets
        self.mixers = mixers
        let sampling: UNetConfiguration.Resampling =
            switch kind {
            case .plain, .crossAttention: .conv
            case .attention: configuration.downsampleType
            case .resnet: .resnet
            }
        downsampler =
            level == configuration.blockOutChannels.count - 1 ? nil : .down(outputs, sampling, configuration, &source)
    }

    func callAsFunction(_ x: Tensor, _ time: Tensor, _ text: Tensor?) -> [Tensor] {
        var outputs: [Tensor] = []
        var h = x
        for (layer, resnet) in resnets.enumerated() {
            h = resnet(h, time)
            if !mixers.isEmpty { h = mixers[layer](h, text) }
            outputs.append(h)
        }
        if let downsampler { outputs.append(downsampler(h, time)) }
        return outputs
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("attentions", mixers)
        parameters.add("resnets", resnets)
        parameters.add("downsamplers", downsampler.map { [$0] } ?? [])
    }
}

internal import Torch

/// One resolution on the way up: each residual block takes in what a layer on the way down put out, then twice the size.
///
/// x [N, previous, H, W] and the skips, taken from the end → [N, outputs, H or 2·H, …]
struct UpBlock: Module {
    private let resnets: [ResnetBlock]
    private let mixers: [Mixer]
    private let upsampler: Resampler?

    /// - Parameters:
    ///   - inputs: channels of the next higher resolution, whose last output on the way down is this block's last skip.
    ///   - previous: channels that come from below.
    ///   - level: the resolution, 0 the highest.
    init(
        _ kind: UNetConfiguration.UpBlock, inputs: Int, previous: Int, _ outputs: Int, level: Int,
        _ configuration: UNetConfiguration, _ source: inout ParameterSource
    ) {
        let layers = configuration.layersPerBlock + 1
        var resnets: [ResnetBlock] = []
        var mixers: [Mixer] = []
        for layer in 0..<layers {
            let skip = layer == layers - 1 ? inputs : outputs
            resnets.append(ResnetBlock((layer == 0 ? previous : outputs) + skip, outputs, configuration, &source))
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
            case .attention: configuration.upsampleType
            case .resnet: .resnet
            }
        upsampler = level == 0 ? nil : .up(outputs, sampling, configuration, &source)
    }

    func callAsFunction(_ x: Tensor, _ skips: inout [Tensor], _ time: Tensor, _ text: Tensor?) -> Tensor {
        var h = x
        for (layer, resnet) in resnets.enumerated() {
            h = resnet(Tensor.concatenated([h, skips.removeLast()], 1), time)
            if !mixers.isEmpty { h = mixers[layer](h, text) }
        }
        return upsampler.map { $0(h, time) } ?? h
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("attentions", mixers)
        parameters.add("resnets", resnets)
        parameters.add("upsamplers", upsampler.map { [$0] } ?? [])
    }
}

internal import Torch

/// The lowest resolution: residual block, attention or a transformer, residual block.
///
/// x [N, C, H, W] → [N, C, H, W]
struct MidBlock: Module {
    private let first: ResnetBlock
    private let mixer: Mixer?
    /// nil: a `UNetMidBlock2D` in a `UNet2DConditionModel` is one residual block and no more.
    private let second: ResnetBlock?

    init(
        _ kind: UNetConfiguration.MidBlock, _ channels: Int, _ configuration: UNetConfiguration,
        _ source: inout ParameterSource
    ) {
        let scale = configuration.midBlockScaleFactor, level = configuration.blockOutChannels.count - 1
        first = ResnetBlock(channels, channels, configuration, scale: scale, &source)
        switch (kind, configuration.text) {
        case (.attention, nil):
            // diffusers leaves the norm out here where the time enters as scale and shift, unless it is asked for.
            let groups =
                configuration.attentionNormGroups ?? (configuration.timeEntry == .add ? configuration.normGroups : nil)
            mixer =
                configuration.addAttention
                ? .attention(AttentionBlock(channels, configuration, groups: groups, scale: scale, &source)) : nil
        case (.crossAttention, _):
            mixer = Mixer(
                channels, level: level, attends: false, reads: true, isMiddle: true, configuration, &source)
        case (.attention, .some):
            mixer = nil
            second = nil
            return
        }
        second = ResnetBlock(channels, channels, configuration, scale: scale, &source)
    }

    func callAsFunction(_ x: Tensor, _ time: Tensor, _ text: Tensor?) -> Tensor {
        var h = first(x, time)
        if let mixer { h = mixer(h, text) }
        if let second { h = second(h, time) }
        return h
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("attentions", mixer.map { [$0] } ?? [])
        parameters.add("resnets", [first] + (second.map { [$0] } ?? []))
    }
}

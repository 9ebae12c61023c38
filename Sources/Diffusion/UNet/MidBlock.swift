internal import Torch

/// The lowest resolution: residual block, attention, residual block.
///
/// x [N, C, H, W] → [N, C, H, W]
struct MidBlock: Module {
    private let first: ResnetBlock
    private let attention: AttentionBlock?
    private let second: ResnetBlock

    init(_ channels: Int, _ configuration: UNetConfiguration, _ source: inout ParameterSource) {
        let scale = configuration.midBlockScaleFactor
        first = ResnetBlock(channels, channels, configuration, scale: scale, &source)
        // diffusers leaves the norm out here where the time enters as scale and shift, unless it is asked for.
        let groups =
            configuration.attentionNormGroups ?? (configuration.timeEntry == .add ? configuration.normGroups : nil)
        attention =
            configuration.addAttention
            ? AttentionBlock(channels, configuration, groups: groups, scale: scale, &source) : nil
        second = ResnetBlock(channels, channels, configuration, scale: scale, &source)
    }

    func callAsFunction(_ x: Tensor, _ time: Tensor) -> Tensor {
        let h = first(x, time)
        return second(attention.map { $0(h) } ?? h, time)
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("attentions", attention.map { [$0] } ?? [])
        parameters.add("resnets", [first, second])
    }
}

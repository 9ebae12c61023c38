internal import Chain
internal import Diffusion
internal import Torch

/// A network that is measured. Its weights are random: speed does not depend on them.
package enum BenchModel: String, CaseIterable, Sendable {
    /// 2.7 million parameters at 32×32.
    case small
    /// The shape of google/ddpm-cifar10-32: 35.7 million parameters.
    case cifar
    /// For tests.
    case tiny

    /// Height and width.
    var side: Int { self == .tiny ? 8 : 32 }
    var channels: Int { 3 }

    /// `config.json`
    var json: String {
        let own: String
        switch self {
        case .small:
            own = """
                "block_out_channels": [32, 64, 128], "layers_per_block": 1, "norm_num_groups": 8, "attention_head_dim": 8,
                "down_block_types": ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
                "up_block_types": ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"]
                """
        case .cifar:
            own = """
                "block_out_channels": [128, 256, 256, 256], "layers_per_block": 2, "norm_num_groups": 32,
                "attention_head_dim": null, "norm_eps": 1e-6, "freq_shift": 1, "flip_sin_to_cos": false,
                "downsample_padding": 0,
                "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
                "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]
                """
        case .tiny:
            own = """
                "block_out_channels": [16, 32], "layers_per_block": 1, "norm_num_groups": 8, "attention_head_dim": 8,
                "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
                "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]
                """
        }
        return """
            {"_class_name": "UNet2DModel", "sample_size": \(side), "in_channels": \(channels), "out_channels": \(channels),
            \(own)}
            """
    }

    func network() throws -> UNet {
        var source = ParameterSource(seed: 1)
        return UNet(try UNetConfiguration(json: json), &source)
    }

    var imageShape: [Int] { [channels, side, side] }

    /// [count, C, H, W], the same each time.
    func noise(_ count: Int) -> Tensor {
        var source = ParameterSource(seed: 2)
        return source.normal([count] + imageShape).detached()
    }

    static func schedule() throws -> Schedule { try Schedule(.linear(), timesteps: 1000) }
}

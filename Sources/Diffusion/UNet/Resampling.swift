internal import Torch

/// Halves or doubles the resolution between two blocks: by a convolution, or by a residual block that knows the time.
enum Resampler: Module {
    /// y = conv(x), stride 2. diffusers pads below and to the right only where `padding` is 0.
    case downConvolution(Conv2d)
    /// y = conv(nearest(x))
    case upConvolution(UpsampledConv2d)
    case resnet(ResnetBlock)

    static func down(
        _ channels: Int, _ kind: UNetConfiguration.Resampling, _ configuration: UNetConfiguration,
        _ source: inout ParameterSource
    ) -> Resampler {
        switch kind {
        case .conv:
            .downConvolution(
                Conv2d(channels, channels, kernel: 3, stride: 2, padding: configuration.downsamplePadding, &source))
        case .resnet:
            .resnet(ResnetBlock(channels, channels, configuration, resample: .down, &source))
        }
    }

    static func up(
        _ channels: Int, _ kind: UNetConfiguration.Resampling, _ configuration: UNetConfiguration,
        _ source: inout ParameterSource
    ) -> Resampler {
        switch kind {
        case .conv: .upConvolution(UpsampledConv2d(channels, channels, &source))
        case .resnet: .resnet(ResnetBlock(channels, channels, configuration, resample: .up, &source))
        }
    }

    func callAsFunction(_ x: Tensor, _ time: Tensor) -> Tensor {
        switch self {
        case .downConvolution(let convolution):
            convolution(convolution.padding == 0 ? x.padded([0, 1, 0, 1]) : x)
        case .upConvolution(let convolution):
            convolution(x)
        case .resnet(let block):
            block(x, time)
        }
    }

    func name(_ parameters: inout ParameterNames) {
        switch self {
        case .downConvolution(let convolution): parameters.add("conv", convolution)
        case .upConvolution(let convolution): parameters.add("conv", convolution)
        case .resnet(let block): block.name(&parameters)
        }
    }
}

import CTorch

/// A 3×3 convolution of the image made twice as large by repeating pixels, the same size out as in: y = conv(nearest(x)).
///
/// x [N, inputs, H, W] → [N, outputs, 2·H, 2·W]. Without gradients, on the CPU with channels last, as four 2×2 convolutions of x itself,
/// whose weights are sums of the convolution's: less than half the products.
package struct UpsampledConv2d: Module {
    private let convolution: Conv2d
    private let folded = Derived { weight in
        .make("foldedUpsampling", weight) { ct_fold_upsampling($0, $1) }
    }

    package init(_ inputs: Int, _ outputs: Int, _ source: inout ParameterSource) {
        convolution = Conv2d(inputs, outputs, kernel: 3, padding: 1, &source)
    }

    package func callAsFunction(_ x: Tensor) -> Tensor {
        let weight = convolution.weight
        let isAsked = !ct_gradients_enabled() && x.device == .cpu && x.isContiguous(.channelsLast)
        let folded = isAsked ? folded.value(of: weight) : nil
        return withExtendedLifetime(folded) {
            .make("upsampledConv2d", x, weight, convolution.bias) {
                ct_upsampled_conv2d($0, $1, $2, folded?.handle, $3)
            }
        }
    }

    package func name(_ parameters: inout ParameterNames) { convolution.name(&parameters) }
}

/// Something made of a parameter, and made again when that has changed.
final class Derived {
    private let make: (Tensor) -> Tensor
    private var made: (revision: [Int64], value: Tensor)?

    init(_ make: @escaping (Tensor) -> Tensor) { self.make = make }

    func value(of parameter: Tensor) -> Tensor {
        var revision: [Int64] = [0, 0]
        Tensor.run("revision", parameter) { ct_revision(parameter.handle, &revision) }
        if let made, made.revision == revision { return made.value }
        let value = withoutGradients { make(parameter) }
        made = (revision, value)
        return value
    }
}

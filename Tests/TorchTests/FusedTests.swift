import Testing

@testable import Torch

/// Our own kernels against libtorch's operations in double precision.
@Suite struct FusedTests {
    private func relative(_ a: Tensor, _ b: Tensor) -> Double {
        (a.to(.float64) - b).norm().item / b.norm().item
    }

    /// One rounding of the result, or a few.
    private static let tolerance: [DType: Double] = [.float32: 1e-6, .bfloat16: 2.5e-3, .float64: 1e-14]

    /// Widths that fill vectors of all lengths, groups that end inside a vector, one image and several; a mean of 30 deviations.
    @Test(arguments: [DType.float32, .bfloat16, .float64], [(32, 8), (48, 3), (80, 40), (64, 1)])
    func groupNormWithActivation(_ dtype: DType, _ sizes: (channels: Int, groups: Int)) {
        var source = ParameterSource(seed: 1)
        let (channels, groups) = sizes
        for (format, count) in [(MemoryFormat.channelsLast, 3), (.channelsLast, 1), (.contiguous, 2)] {
            let x = (source.normal([count, channels, 5, 6]) + 3).to(dtype).contiguous(format)
            let shift = source.normal([count, channels]).to(dtype)
            let weight = source.normal([channels]).to(dtype), bias = source.normal([channels]).to(dtype)
            for shift in [nil, shift] {
                let wide =
                    x.to(.float64) + (shift?.to(.float64).unsqueezed(-1).unsqueezed(-1) ?? x.to(.float64).zerosLike())
                let expected = wide.groupNorm(groups, weight.to(.float64), bias.to(.float64), epsilon: 1e-5).silu()
                let y = withoutGradients { x.groupNorm(groups, weight, bias, epsilon: 1e-5, shift: shift, silu: true) }
                #expect(y.dtype == dtype && y.shape == x.shape)
                let roundings = format == .channelsLast ? 1.0 : 3  // libtorch rounds between its parts
                #expect(relative(y, expected) < roundings * (Self.tolerance[dtype] ?? 0))
            }
        }
    }

    /// Images are shared out among libtorch's threads: fewer than threads, as many, and more.
    @Test(arguments: [1, 2, 3, 7, 64])
    func severalThreadsDoTheSame(_ count: Int) {
        let before = Runtime.threads
        defer { Runtime.threads = before }
        var source = ParameterSource(seed: 8)
        let x = source.normal([count, 32, 6, 6]).contiguous(.channelsLast), shift = source.normal([count, 32])
        let weight = source.normal([32]), bias = source.normal([32])
        let heads = source.normal([count, 19, 32]).reshaped(count, 19, 4, 8).transposed(1, 2)
        let layer = UpsampledConv2d(32, 16, &source)
        layer.convert(to: .float32, format: .channelsLast)
        func results(threads: Int) -> (norm: [Float], attention: [Float], convolution: Tensor) {
            Runtime.threads = threads
            return withoutGradients {
                (
                    x.groupNorm(8, weight, bias, epsilon: 1e-5, shift: shift, silu: true).floats,
                    heads.attention(heads, heads).floats, layer(x)
                )
            }
        }
        let one = results(threads: 1), three = results(threads: 3)
        #expect(one.norm == three.norm && one.attention == three.attention)
        // Its products are libtorch's own, which may add in another order.
        #expect(relative(three.convolution, one.convolution.to(.float64)) < 1e-6)
    }

    @Test func aLargeMeanLeavesTheVarianceAlone() {
        var source = ParameterSource(seed: 2)
        let x = (source.normal([2, 16, 8, 8]) + 300).contiguous(.channelsLast)
        let one = Tensor.ones([16]), zero = Tensor.zeros([16])
        let expected = x.to(.float64).groupNorm(4, one.to(.float64), zero.to(.float64), epsilon: 1e-5).silu()
        #expect(relative(withoutGradients { x.groupNorm(4, one, zero, epsilon: 1e-5, silu: true) }, expected) < 2e-5)
    }

    @Test func whatIsNoNumberStaysNone() {
        var source = ParameterSource(seed: 3)
        for dtype in [DType.float32, .bfloat16] {
            let x = source.normal([1, 16, 4, 4]).contiguous(.channelsLast)
            withoutGradients { x[0][3][2][1].fill(.nan) }
            let y = withoutGradients {
                x.to(dtype).groupNorm(
                    4, Tensor.ones([16]).to(dtype), Tensor.zeros([16]).to(dtype), epsilon: 1e-5, silu: true)
            }
            #expect(!y.isFinite)
        }
    }

    @Test func gradientsAreThoseOfTheParts() throws {
        var source = ParameterSource(seed: 4)
        let x = source.normal([2, 16, 4, 4]).contiguous(.channelsLast), shift = source.normal([2, 16])
        let weight = source.normal([16]), bias = source.normal([16])
        func gradients(_ call: (Tensor, Tensor, Tensor, Tensor) -> Tensor) throws -> [[Double]] {
            let leaves = [x, shift, weight, bias].map { $0.detached().clone() }
            for leaf in leaves { leaf.requiresGradient = true }
            call(leaves[0], leaves[1], leaves[2], leaves[3]).square().sum().backward()
            return try leaves.map { try #require($0.gradient).doubles }
        }
        let ours = try gradients { $0.groupNorm(4, $2, $3, epsilon: 1e-5, shift: $1, silu: true) }
        let parts = try gradients { ($0 + $1.unsqueezed(-1).unsqueezed(-1)).groupNorm(4, $2, $3, epsilon: 1e-5).silu() }
        for (a, b) in zip(ours, parts) { #expect(difference(a, b) < 1e-4) }
    }

    /// More queries than lanes and fewer, keys of another length, scores far from 0.
    @Test(arguments: [DType.float32, .bfloat16, .float64], [(8, 19, 19), (16, 3, 40), (8, 64, 1), (12, 7, 7)])
    func attention(_ dtype: DType, _ sizes: (width: Int, queries: Int, keys: Int)) {
        var source = ParameterSource(seed: 5)
        let heads = 3
        func part(_ length: Int, _ scale: Double) -> Tensor {
            (source.normal([2, length, heads * sizes.width]) * scale).to(dtype)
                .reshaped(2, length, heads, sizes.width).transposed(1, 2)
        }
        let query = part(sizes.queries, 5), key = part(sizes.keys, 5), value = part(sizes.keys, 1)
        let scores = query.to(.float64).matmul(key.to(.float64).transposed(2, 3)) / Double(sizes.width).squareRoot()
        let expected = scores.softmax(3).matmul(value.to(.float64))
        let y = withoutGradients { query.attention(key, value) }
        #expect(y.dtype == dtype && y.shape == expected.shape)
        #expect(relative(y, expected) < 2 * (Self.tolerance[dtype] ?? 0))
    }

    /// Odd sides, one pixel, several images; afterwards the weights change, and so must the result.
    @Test(arguments: [DType.float32, .bfloat16, .float64])
    func convolutionOfTheImageTwiceAsLarge(_ dtype: DType) {
        var source = ParameterSource(seed: 6)
        let layer = UpsampledConv2d(16, 24, &source)
        layer.convert(to: dtype, format: .channelsLast)
        for (height, width) in [(5, 3), (1, 1), (4, 4)] {
            let x = source.normal([2, 16, height, width]).to(dtype).contiguous(.channelsLast)
            for scale in [1, -0.5] {
                let parameters = layer.parameters
                withoutGradients { parameters[0].copy(from: parameters[0] * scale) }
                let expected = x.to(.float64).upsampledNearest(height: 2 * height, width: 2 * width)
                    .conv2d(parameters[0].to(.float64), parameters[1].to(.float64), padding: 1)
                let y = withoutGradients { layer(x) }
                #expect(y.dtype == dtype && y.shape == expected.shape)
                #expect(relative(y, expected) < 2 * (Self.tolerance[dtype] ?? 0))
            }
        }
    }

    @Test func mixedPrecisionKeepsParametersAndTheirGradients() throws {
        var source = ParameterSource(seed: 7)
        let layer = Conv2d(16, 16, kernel: 3, padding: 1, &source), x = source.normal([2, 16, 6, 6]).detached()
        func gradient(_ dtype: DType?) throws -> Tensor {
            Gradients.drop([layer.weight])
            let y = withMixedPrecision(dtype) { layer(x) }
            #expect(y.dtype == dtype ?? .float32)
            y.to(.float32).square().mean().backward()
            return try #require(layer.weight.gradient).clone()
        }
        let exact = try gradient(nil), mixed = try gradient(.bfloat16)
        #expect(mixed.dtype == .float32 && layer.weight.dtype == .float32)
        let error = relative(mixed, exact.to(.float64))
        #expect(error < 1e-2 && error > 0)
        #expect(layer(x).dtype == .float32)
    }
}

/// y[n, o, i, j] = b[o] + Σ_c Σ_u Σ_v W[o, c, u, v] · x[n, c, i·stride + u − padding, j·stride + v − padding]
///
/// x [N, inputs, H, W] → [N, outputs, H', W']. PyTorch's start: W and b uniform in ±1/√(inputs · kernel²).
package struct Conv2d: Module {
    /// [outputs, inputs, kernel, kernel]
    package let weight: Tensor
    /// [outputs]
    package let bias: Tensor?
    package let stride: Int
    package let padding: Int

    package init(
        _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, bias: Bool = true,
        _ source: inout ParameterSource
    ) {
        let bound = 1 / Double(inputs * kernel * kernel).squareRoot()
        weight = source.uniform([outputs, inputs, kernel, kernel], bound: bound)
        self.bias = bias ? source.uniform([outputs], bound: bound) : nil
        self.stride = stride
        self.padding = padding
    }

    package func callAsFunction(_ x: Tensor) -> Tensor { x.conv2d(weight, bias, stride: stride, padding: padding) }

    package func name(_ parameters: inout ParameterNames) {
        parameters.add("weight", weight)
        parameters.add("bias", bias)
    }
}

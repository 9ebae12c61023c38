/// y = x · Wᵀ + b
///
/// x [..., inputs] → [..., outputs]. PyTorch's start: W and b uniform in ±1/√inputs.
package struct Linear: Module {
    /// [outputs, inputs]
    package let weight: Tensor
    /// [outputs]
    package let bias: Tensor?

    package init(_ inputs: Int, _ outputs: Int, bias: Bool = true, _ source: inout ParameterSource) {
        let bound = 1 / Double(inputs).squareRoot()
        weight = source.uniform([outputs, inputs], bound: bound)
        self.bias = bias ? source.uniform([outputs], bound: bound) : nil
    }

    package func callAsFunction(_ x: Tensor) -> Tensor { x.linear(weight, bias) }

    package func name(_ parameters: inout ParameterNames) {
        parameters.add("weight", weight)
        parameters.add("bias", bias)
    }
}

/// y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² over the last dimension.
///
/// x [..., width] → the same shape.
package struct LayerNorm: Module {
    /// γ [width]
    package let weight: Tensor
    /// β [width]
    package let bias: Tensor
    package let epsilon: Double

    package init(_ width: Int, epsilon: Double = 1e-5, _ source: inout ParameterSource) {
        weight = source.constant(1, [width])
        bias = source.constant(0, [width])
        self.epsilon = epsilon
    }

    package func callAsFunction(_ x: Tensor) -> Tensor { x.layerNorm(weight, bias, epsilon: epsilon) }

    package func name(_ parameters: inout ParameterNames) {
        parameters.add("weight", weight)
        parameters.add("bias", bias)
    }
}

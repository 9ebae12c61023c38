/// y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² over each group of channels of each sample.
///
/// x [N, channels, ...] → the same shape.
package struct GroupNorm: Module {
    /// γ [channels]
    package let weight: Tensor
    /// β [channels]
    package let bias: Tensor
    package let groups: Int
    package let epsilon: Double

    package init(groups: Int, _ channels: Int, epsilon: Double = 1e-5, _ source: inout ParameterSource) {
        precondition(channels.isMultiple(of: groups), "\(channels) channels do not divide into \(groups) groups")
        weight = source.constant(1, [channels])
        bias = source.constant(0, [channels])
        self.groups = groups
        self.epsilon = epsilon
    }

    package func callAsFunction(_ x: Tensor) -> Tensor { x.groupNorm(groups, weight, bias, epsilon: epsilon) }

    /// silu(y), of x + shift where one is given: [N, channels].
    package func silu(_ x: Tensor, shift: Tensor? = nil) -> Tensor {
        x.groupNorm(groups, weight, bias, epsilon: epsilon, shift: shift, silu: true)
    }

    package func name(_ parameters: inout ParameterNames) {
        parameters.add("weight", weight)
        parameters.add("bias", bias)
    }
}

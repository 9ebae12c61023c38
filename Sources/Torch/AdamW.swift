import CTorch

/// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), as PyTorch computes it:
///
///     p ← p − η·w·p
///     m ← β₁·m + (1 − β₁)·g            v ← β₂·v + (1 − β₂)·g²
///     p ← p − η · (m / (1 − β₁ᵏ)) / (√(v / (1 − β₂ᵏ)) + ε)
///
/// All parameters take one call: a small network's step is mostly the overhead of calls.
package struct AdamW {
    /// η; may be changed between steps.
    package var learningRate: Double
    package let betas: (Double, Double)
    package let epsilon: Double
    package let weightDecay: Double

    private let keys: [String]
    private let parameters: [Tensor]
    /// m, v and k (a float32 scalar) for each parameter.
    private let means: [Tensor]
    private let squares: [Tensor]
    private let steps: [Tensor]

    package init(
        _ module: some Module, learningRate: Double, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
        weightDecay: Double = 0.01
    ) {
        self.learningRate = learningRate
        self.betas = betas
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        let named = module.namedParameters
        keys = named.map(\.key)
        parameters = named.map(\.tensor)
        means = parameters.map { $0.detached().zerosLike() }
        squares = parameters.map { $0.detached().zerosLike() }
        steps = parameters.map { .zeros([], device: $0.device) }
    }

    /// One step along the gradients that are there; parameters without one stay.
    package func step() {
        let options = ct_adamw(
            learning_rate: learningRate, beta1: betas.0, beta2: betas.1, epsilon: epsilon, weight_decay: weightDecay)
        Tensor.withHandles(parameters) { parameters, count in
            Tensor.withHandles(means) { means, _ in
                Tensor.withHandles(squares) { squares, _ in
                    Tensor.withHandles(steps) { steps, _ in
                        Tensor.run("AdamW.step") { ct_adamw_step(parameters, means, squares, steps, count, options) }
                    }
                }
            }
        }
    }

    package func dropGradients() { Gradients.drop(parameters) }

    /// Clips the gradients of this optimiser's parameters: see `Gradients.clip`.
    @discardableResult
    package func clipGradients(to limit: Double) -> Double { Gradients.clip(parameters, to: limit) }
}

// MARK: state

extension AdamW: Module {
    /// m, v and k under the parameters' keys, so that training can stop and go on: `state()` and `load(_:)`.
    package func name(_ parameters: inout ParameterNames) {
        for (index, key) in keys.enumerated() {
            parameters.add("\(key).exp_avg", means[index])
            parameters.add("\(key).exp_avg_sq", squares[index])
            parameters.add("\(key).step", steps[index])
        }
    }
}

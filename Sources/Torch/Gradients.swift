import CTorch

/// What is done to the gradients of many parameters at once.
package enum Gradients {
    /// Forgets them; the next `backward()` begins from zero.
    package static func drop(_ parameters: [Tensor]) {
        Tensor.withHandles(parameters) { handles, count in
            Tensor.run("Gradients.drop") { ct_drop_gradients(handles, count) }
        }
    }

    /// Scales them so that their joint Euclidean norm is at most `limit`; gives the norm before that.
    ///
    ///     g ← g · min(1, limit / (‖g‖ + 10⁻⁶))          as PyTorch's clip_grad_norm_
    ///
    /// A norm that is NaN or infinite scales nothing to health: skip the step.
    @discardableResult
    package static func clip(_ parameters: [Tensor], to limit: Double) -> Double {
        Tensor.withHandles(parameters) { handles, count in
            var norm = Double.nan
            Tensor.run("Gradients.clip") { ct_clip_gradients(handles, count, limit, &norm) }
            return norm
        }
    }
}

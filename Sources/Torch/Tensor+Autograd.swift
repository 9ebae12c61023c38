import CTorch

extension Tensor {
    /// Whether operations on this tensor are recorded for `backward()`.
    package var requiresGradient: Bool {
        get {
            var result = false
            Tensor.run("requiresGradient", self) { ct_requires_gradient(handle, &result) }
            return result
        }
        set { Tensor.run("requiresGradient", self) { ct_set_requires_gradient(handle, newValue) } }
    }

    /// Adds d self / d leaf to the gradient of every leaf that requires one; self is a scalar, or `seed` has its shape.
    /// The record of the operations is used up.
    package func backward(_ seed: Tensor? = nil) {
        withExtendedLifetime(seed) {
            Tensor.run("backward", self) { ct_backward(handle, seed?.handle) }
        }
    }

    /// What `backward()` has added up so far; nil before the first.
    package var gradient: Tensor? {
        withExtendedLifetime(self) {
            var out: ct_tensor?
            Tensor.run("gradient", self) { ct_gradient(handle, &out) }
            return out.map(Tensor.init(taking:))
        }
    }

    /// The same elements without the record.
    package func detached() -> Tensor { .make("detached", self) { ct_detach($0, $1) } }

    /// Takes over another tensor's elements and type but stays the same tensor to all who hold it.
    func replaceElements(by source: Tensor) {
        Tensor.run("replaceElements", self, source) { ct_replace_data(handle, source.handle) }
    }
}

/// Runs `body` with convolutions, linear layers and matrix products in a narrower type, while parameters, norms and what is added
/// up stay as they are. Gradients of parameters are of the parameters' type.
///
/// - Parameter dtype: nil: nothing is changed.
package func withMixedPrecision<Result, Failure: Error>(
    _ dtype: DType?, _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
    guard let dtype else { return try body() }
    Tensor.run("withMixedPrecision") { ct_mixed_enter(dtype.rawValue) }
    defer { Tensor.run("withMixedPrecision") { ct_mixed_leave() } }
    return try body()
}

/// Runs `body` without recording operations: for sampling, measuring, and changing parameters.
///
/// The closure is synchronous on purpose: the mode belongs to the thread, and an `await` could continue on another one.
package func withoutGradients<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    let before = ct_gradients_enabled()
    ct_set_gradients_enabled(false)
    defer { ct_set_gradients_enabled(before) }
    return try body()
}

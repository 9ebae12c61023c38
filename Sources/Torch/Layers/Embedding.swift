/// y = W[index]
///
/// Indices int64 of any shape [...] → [..., width]. PyTorch's start: W ~ N(0, 1).
package struct Embedding: Module {
    /// [rows, width]
    package let weight: Tensor

    package init(_ rows: Int, _ width: Int, _ source: inout ParameterSource) {
        weight = source.normal([rows, width])
    }

    package func callAsFunction(_ indices: Tensor) -> Tensor { weight.embedding(indices) }

    package func name(_ parameters: inout ParameterNames) {
        parameters.add("weight", weight)
    }
}

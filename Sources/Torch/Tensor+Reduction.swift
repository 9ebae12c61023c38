import CTorch

// Dimensions count from the end if negative. None given means over all elements, to a scalar.

extension Tensor {
    package func sum(_ dims: Int..., keep: Bool = false) -> Tensor {
        reduce("sum", dims) { ct_sum($0, $1, $2, keep, $3) }
    }

    package func mean(_ dims: Int..., keep: Bool = false) -> Tensor {
        reduce("mean", dims) { ct_mean($0, $1, $2, keep, $3) }
    }

    /// The variance with divisor n − correction: 1 for a sample, 0 for a population.
    package func variance(_ dims: Int..., correction: Double = 1, keep: Bool = false) -> Tensor {
        reduce("variance", dims) { ct_var($0, $1, $2, correction, keep, $3) }
    }

    package func min(_ dims: Int..., keep: Bool = false) -> Tensor {
        reduce("min", dims) { ct_amin($0, $1, $2, keep, $3) }
    }

    package func max(_ dims: Int..., keep: Bool = false) -> Tensor {
        reduce("max", dims) { ct_amax($0, $1, $2, keep, $3) }
    }

    /// The Euclidean norm.
    package func norm(_ dims: Int..., keep: Bool = false) -> Tensor {
        reduce("norm", dims) { ct_norm($0, $1, $2, keep, $3) }
    }

    /// Index of the largest element along a dimension, int64.
    package func argmax(_ dim: Int, keep: Bool = false) -> Tensor {
        .make("argmax", self) { ct_argmax($0, Int64(dim), keep, $1) }
    }

    /// Index of the smallest element along a dimension, int64.
    package func argmin(_ dim: Int, keep: Bool = false) -> Tensor {
        .make("argmin", self) { ct_argmin($0, Int64(dim), keep, $1) }
    }

    package func cumulativeSum(_ dim: Int) -> Tensor { .make("cumulativeSum", self) { ct_cumsum($0, Int64(dim), $1) } }

    /// The elements along a dimension, rising.
    package func sorted(_ dim: Int) -> Tensor { .make("sorted", self) { ct_sort($0, Int64(dim), $1) } }

    package func softmax(_ dim: Int) -> Tensor { .make("softmax", self) { ct_softmax($0, Int64(dim), $1) } }

    package func logSoftmax(_ dim: Int) -> Tensor { .make("logSoftmax", self) { ct_log_softmax($0, Int64(dim), $1) } }

    private func reduce(
        _ name: StaticString, _ dims: [Int],
        _ call: (ct_tensor?, UnsafePointer<Int64>?, Int32, UnsafeMutablePointer<ct_tensor?>) -> ct_status
    ) -> Tensor {
        Tensor.withInt64s(dims) { sizes, rank in .make(name, self) { call($0, sizes, rank, $1) } }
    }
}

import CTorch

// The operations that layers and losses are made of. Images are [N, C, H, W].

extension Tensor {
    /// The matrix product, batched over leading dimensions.
    package func matmul(_ other: Tensor) -> Tensor { .make("matmul", self, other) { ct_matmul($0, $1, $2) } }

    /// The matrix product of each pair: [B, n, m] × [B, m, p].
    package func batchedMatmul(_ other: Tensor) -> Tensor { .make("batchedMatmul", self, other) { ct_bmm($0, $1, $2) } }

    /// x · weightᵀ + bias, weight [out, in].
    package func linear(_ weight: Tensor, _ bias: Tensor?) -> Tensor {
        .make("linear", self, weight, bias) { ct_linear($0, $1, $2, $3) }
    }

    /// Cross-correlation with weight [out, in / groups, k, k].
    package func conv2d(
        _ weight: Tensor, _ bias: Tensor?, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
    ) -> Tensor {
        .make("conv2d", self, weight, bias) {
            ct_conv2d($0, $1, $2, Int64(stride), Int64(padding), Int64(dilation), Int64(groups), $3)
        }
    }

    /// Each group of channels to mean 0 and variance 1, then · weight + bias per channel.
    ///
    /// - Parameters:
    ///   - shift: added before, one number for each channel of each sample: [N, C].
    ///   - silu: whether silu follows. What lies channels-last on the CPU and records no gradient is done in one go.
    package func groupNorm(
        _ groups: Int, _ weight: Tensor, _ bias: Tensor, epsilon: Double, shift: Tensor? = nil, silu: Bool = false
    ) -> Tensor {
        withExtendedLifetime(bias) {
            .make("groupNorm", self, weight, shift) {
                ct_group_norm($0, $2, Int64(groups), $1, bias.handle, epsilon, silu, $3)
            }
        }
    }

    /// The last dimensions, of the weight's shape, to mean 0 and variance 1, then · weight + bias.
    package func layerNorm(_ weight: Tensor, _ bias: Tensor, epsilon: Double) -> Tensor {
        Tensor.withInt64s(weight.shape) { sizes, rank in
            .make("layerNorm", self, weight, bias) { ct_layer_norm($0, sizes, rank, $1, $2, epsilon, $3) }
        }
    }

    /// Rows of this table [rows, width] by int64 indices of any shape.
    package func embedding(_ indices: Tensor) -> Tensor {
        .make("embedding", self, indices) { ct_embedding($0, $1, $2) }
    }

    /// Repeats pixels to the given size.
    package func upsampledNearest(height: Int, width: Int) -> Tensor {
        .make("upsampledNearest", self) { ct_upsample_nearest2d($0, Int64(height), Int64(width), $1) }
    }

    package func averagePooled(_ kernel: Int, stride: Int? = nil, padding: Int = 0) -> Tensor {
        .make("averagePooled", self) { ct_avg_pool2d($0, Int64(kernel), Int64(stride ?? kernel), Int64(padding), $1) }
    }

    package func maxPooled(_ kernel: Int, stride: Int? = nil, padding: Int = 0) -> Tensor {
        .make("maxPooled", self) { ct_max_pool2d($0, Int64(kernel), Int64(stride ?? kernel), Int64(padding), $1) }
    }

    /// softmax(query · keyᵀ · scale) · value over [N, heads, length, width]; the scale is 1/√width unless given. Heads of 8 and 16
    /// have a kernel of their own for inference on the CPU.
    package func attention(_ key: Tensor, _ value: Tensor, scale: Double? = nil) -> Tensor {
        .make("attention", self, key, value) { ct_attention($0, $1, $2, scale ?? 0, $3) }
    }

    /// The mean of (self − target)² over all elements.
    package func meanSquaredError(_ target: Tensor) -> Tensor {
        .make("meanSquaredError", self, target) { ct_mse_loss($0, $1, $2) }
    }

    /// −log softmax(self)[label], averaged over the batch. self [N, classes], labels [N] int64.
    package func crossEntropy(_ labels: Tensor, labelSmoothing: Double = 0) -> Tensor {
        .make("crossEntropy", self, labels) { ct_cross_entropy($0, $1, labelSmoothing, $2) }
    }
}

// MARK: linear algebra

extension Tensor {
    /// The Euclidean distance of every row of self [n, d] to every row of other [m, d]: [n, m].
    package func distances(to other: Tensor) -> Tensor { .make("distances", self, other) { ct_cdist($0, $1, $2) } }

    /// Eigenvalues in ascending order and eigenvectors (columns) of a symmetric matrix.
    package func symmetricEigen() -> (values: Tensor, vectors: Tensor) {
        var values: ct_tensor?
        var vectors: ct_tensor?
        Tensor.run("symmetricEigen", self) { ct_eigh(handle, &values, &vectors) }
        return (Tensor(taking: values), Tensor(taking: vectors))
    }

    /// self = u · diag(s) · vh, with as many singular values as the smaller side.
    package func singularValues() -> (u: Tensor, s: Tensor, vh: Tensor) {
        var u: ct_tensor?
        var s: ct_tensor?
        var vh: ct_tensor?
        Tensor.run("singularValues", self) { ct_svd(handle, &u, &s, &vh) }
        return (Tensor(taking: u), Tensor(taking: s), Tensor(taking: vh))
    }

    package func trace() -> Tensor { .make("trace", self) { ct_trace($0, $1) } }
}

package import Torch

extension Tensor {
    /// One factor per row, cast once from Double, shaped to multiply this [N, …] tensor: [N, 1, …].
    package func perRow(_ factors: [Double]) -> Tensor {
        precondition(!isDefined || factors.count == size(0), "\(factors.count) factors for \(size(0)) rows")
        return Tensor(doubles: factors, shape: [factors.count] + Array(repeating: 1, count: Swift.max(0, rank - 1)))
            .to(dtype).to(device)
    }

    /// The mean over everything but the first dimension: [N].
    func rowMeans() -> Tensor { reshaped(size(0), -1).mean(1) }
}

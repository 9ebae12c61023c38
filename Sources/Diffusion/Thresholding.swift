internal import Chain
internal import Torch

extension Tensor {
    /// Rows [N, …] of x̂_0, each thresholded in its own way: docs/maths.md (5.8).
    ///
    /// - Parameter thresholds: one for each row, or none at all.
    func thresholded(_ thresholds: [Threshold]) -> Tensor {
        guard thresholds.contains(where: { $0 != .none }) else { return self }
        let bound = perRow(thresholds.map(\.bound))
        guard thresholds.contains(where: { $0.quantile != nil }) else { return clamped(at: bound) }
        let isDynamic = perRow(thresholds.map { $0.quantile == nil ? 0 : 1 }) .> 0.5
        let scale = isDynamic.choose(dynamicScale(thresholds), else: bound.zerosLike() + 1)
        return clamped(at: isDynamic.choose(scale, else: bound)) / scale
    }

    private func clamped(at bound: Tensor) -> Tensor { .maximum(.minimum(self, bound), -bound) }

    /// s of each row [N, 1, …]; of rows that are not dynamic some number.
    private func dynamicScale(_ thresholds: [Threshold]) -> Tensor {
        let rows = size(0)
        // Quantiles of half-precision numbers would be as coarse as those.
        let sizes = reshaped(rows, -1).to(dtype == .float64 ? .float64 : .float32).abs().sorted(1)
        let places = thresholds.map { ($0.quantile ?? 0) * Double(sizes.size(1) - 1) }
        func value(at places: [Double]) -> Tensor {
            sizes.gathered(1, at: Tensor(places.map { Int($0) }, shape: [rows, 1]).to(device))
        }
        // Between two neighbours the quantile runs along a straight line.
        let below = value(at: places), above = value(at: places.map { $0.rounded(.up) })
        let quantile = below + (above - below) * below.perRow(places.map { $0 - $0.rounded(.down) })
        let scale = Tensor.minimum(
            Tensor.maximum(quantile, quantile.zerosLike() + 1), below.perRow(thresholds.map(\.bound)))
        return scale.to(dtype).reshaped([rows] + Array(repeating: 1, count: Swift.max(0, rank - 1)))
    }
}

extension Threshold {
    /// The most that |x̂_0|, or s, may be.
    fileprivate var bound: Double {
        switch self {
        case .none: .infinity
        case .clip(let bound): bound
        case .dynamic(_, let maximum): maximum
        }
    }

    fileprivate var quantile: Double? { if case .dynamic(let quantile, _) = self { quantile } else { nil } }
}

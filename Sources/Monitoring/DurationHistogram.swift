/// How long things took, in buckets that are the same everywhere, so that those of many processes add up.
package struct DurationHistogram: Hashable, Sendable {
    /// Upper bounds in seconds: about √10 apart, from half a millisecond to half an hour.
    package static let bounds: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800,
    ]

    /// Of each bucket alone; what is longer than the last is in `count` only.
    package private(set) var counts = [Int](repeating: 0, count: bounds.count)
    package private(set) var count = 0
    /// In seconds.
    package private(set) var sum = 0.0

    package init() {}

    package mutating func record(nanoseconds: Int64) {
        let seconds = Double(max(0, nanoseconds)) / 1e9
        count += 1
        sum += seconds
        if let bucket = Self.bounds.firstIndex(where: { seconds <= $0 }) { counts[bucket] += 1 }
    }

    package mutating func add(_ other: DurationHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        count += other.count
        sum += other.sum
    }

    /// An estimate in seconds, straight within a bucket as Prometheus' `histogram_quantile`; the last bound for what is longer.
    package func quantile(_ share: Double) -> Double {
        guard count > 0 else { return 0 }
        let rank = share * Double(count)
        var below = 0
        for (index, inside) in counts.enumerated() {
            if Double(below + inside) >= rank, inside > 0 {
                let low = index == 0 ? 0 : Self.bounds[index - 1]
                return low + (Self.bounds[index] - low) * (rank - Double(below)) / Double(inside)
            }
            below += inside
        }
        return Self.bounds[Self.bounds.count - 1]
    }

    /// What came since `earlier`.
    package func since(_ earlier: DurationHistogram) -> DurationHistogram {
        var difference = self
        for index in counts.indices { difference.counts[index] -= earlier.counts[index] }
        difference.count -= earlier.count
        difference.sum -= earlier.sum
        return difference
    }
}

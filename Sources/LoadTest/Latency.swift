package import Histogram

/// Times from a microsecond to an hour, to three digits, in an HdrHistogram.
package struct Latency: Sendable {
    package private(set) var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: .three)

    package init() {}

    package var count: UInt64 { histogram.totalCount }
    package var isEmpty: Bool { count == 0 }

    /// - Parameter nanoseconds: what is negative counts as 0, what is longer than an hour as an hour.
    mutating func record(_ nanoseconds: Int64) {
        histogram.record(UInt64(min(max(0, nanoseconds / 1_000), 3_600_000_000)))
    }

    mutating func add(_ other: Latency) { if !other.isEmpty { histogram.add(other.histogram) } }

    /// In milliseconds; 100 is the longest.
    package func percentile(_ percentile: Double) -> Double {
        isEmpty ? 0 : Double(percentile >= 100 ? histogram.max : histogram.valueAtPercentile(percentile)) / 1_000
    }

    /// The distribution as HdrHistogram's own tools read it, in milliseconds.
    package var distribution: String {
        var text = ""
        histogram.outputPercentileDistribution(to: &text, outputValueUnitScalingRatio: 1_000)
        return text
    }
}

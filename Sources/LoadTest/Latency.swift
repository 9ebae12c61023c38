package import Histogram

/// Times from a microsecond to an hour, to three digits, in an HdrHistogram.
package struct Latency: Sendable {
    package private(set) var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: .three)

    /// Of those that are counted, the ones that never came to the end of this time: they stand here with the least that it can be.
    package private(set) var missing = 0

    package init() {}

    package var count: UInt64 { histogram.totalCount }
    package var isEmpty: Bool { count == 0 }

    /// - Parameter nanoseconds: what is negative counts as 0, what is longer than an hour as an hour.
    mutating func record(_ nanoseconds: Int64) {
        histogram.record(UInt64(min(max(0, nanoseconds / 1_000), 3_600_000_000)))
    }

    /// One that was given up after so long.
    mutating func miss(after nanoseconds: Int64) {
        record(nanoseconds)
        missing += 1
    }

    mutating func add(_ other: Latency) {
        guard !other.isEmpty else { return }
        histogram.add(other.histogram)
        missing += other.missing
    }

    /// In milliseconds; 100 is the longest. nil: there is none.
    package func percentile(_ percentile: Double) -> Double? {
        guard !isEmpty else { return nil }
        return Double(percentile >= 100 ? histogram.max : histogram.valueAtPercentile(percentile)) / 1_000
    }

    /// Whether the percentile over so many is a time that was really measured: those that are missing, here or altogether, are
    /// longer than all others.
    func isKnown(_ percentile: Double, of all: Int) -> Bool {
        // One ulp less, or 99.9 % of 1,000 would be 1,000.
        let rank = max(1, (percentile.nextDown / 100 * Double(all)).rounded(.up))
        return Double(count) - Double(missing) >= rank
    }

    /// The distribution as HdrHistogram's own tools read it, in milliseconds.
    package var distribution: String {
        var text = ""
        histogram.outputPercentileDistribution(to: &text, outputValueUnitScalingRatio: 1_000)
        return text
    }
}

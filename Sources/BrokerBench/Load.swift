/// What clients ask of whatever stands in the middle.
struct Load: Sendable {
    enum Pace: Sendable {
        /// So many jobs are always under way.
        case inFlight(Int)
        /// Jobs a second come due in even steps, whatever becomes of those before.
        case rate(Double)
    }

    var pace: Pace
    /// Of a sealed payload, and of its result.
    var bytes = 48 << 10
    /// How long it is measured, and how long it runs before.
    var seconds: Double
    var warmUp: Double
}

/// What came of it, while it was measured.
struct Outcome: Sendable {
    /// Completed jobs a second.
    let rate: Double
    /// From when a job was due to when its result had come in; nanoseconds, rising.
    let latencies: [Int64]
    /// From when a job was due to when it was sent, which is the clients' own doing; nanoseconds, rising.
    let lags: [Int64]
    /// From when a job was sent to when its result had come in; nanoseconds, rising.
    let answers: [Int64]

    /// In milliseconds.
    func quantile(_ share: Double) -> Double { Self.quantile(share, of: latencies) }

    /// The clients' own part of it, in milliseconds.
    func lag(_ share: Double) -> Double { Self.quantile(share, of: lags) }

    /// What is left without the clients' own part, in milliseconds.
    func answer(_ share: Double) -> Double { Self.quantile(share, of: answers) }

    static func quantile(_ share: Double, of values: [Int64]) -> Double {
        guard !values.isEmpty else { return .nan }
        let place = min(values.count - 1, Int((Double(values.count) * share).rounded(.up)) - 1)
        return Double(values[max(0, place)]) / 1e6
    }
}

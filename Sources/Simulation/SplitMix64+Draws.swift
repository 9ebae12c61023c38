internal import Exchange

/// What a history draws.
extension SplitMix64 {
    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }

    /// 0 ..< bound
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }

    /// Nanoseconds, uniform.
    mutating func milliseconds(_ range: ClosedRange<Int>) -> Int64 {
        Int64(range.lowerBound + below(range.upperBound - range.lowerBound + 1)) * 1_000_000 + Int64(below(1_000_000))
    }

    /// Nanoseconds, uniform around the mean: from none to twice as long.
    mutating func around(seconds: Double) -> Int64 { Int64(Double.random(in: 0..<2, using: &self) * seconds * 1e9) }
}

/// The generator that a whole history is drawn from (Steele, Lea, Flood 2014): small, quick, and the same on every machine.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

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

internal import Foundation

/// SplitMix64 (Steele, Lea, Flood 2014): randomness that is the same for the same seed, for what need not be secret.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// Exponential, with mean 1.
    package mutating func exponential() -> Double {
        // 2⁻⁵³ at least: never the logarithm of 0.
        -log(Double((next() >> 11) + 1) * 0x1p-53)
    }
}

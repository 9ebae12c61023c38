package import Exchange
internal import Foundation

extension SplitMix64 {
    /// Exponential, with mean 1.
    package mutating func exponential() -> Double {
        // 2⁻⁵³ at least: never the logarithm of 0.
        -log(Double((next() >> 11) + 1) * 0x1p-53)
    }
}

/// Philox4x32-10: a keyed bijection of 128-bit counters whose outputs pass every known statistical test.
///
/// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3 and table 2.
struct Philox {
    /// Multipliers and Weyl constants of the paper's 4×32 variant.
    private static let m0: UInt32 = 0xD251_1F53
    private static let m1: UInt32 = 0xCD9E_8D57
    private static let w0: UInt32 = 0x9E37_79B9
    private static let w1: UInt32 = 0xBB67_AE85
    private static let rounds = 10

    typealias Counter = (UInt32, UInt32, UInt32, UInt32)

    let key: (UInt32, UInt32)

    /// The four words of one counter.
    @inline(__always)
    func callAsFunction(_ counter: Counter) -> Counter {
        var c = counter
        var k = key
        for _ in 0..<Self.rounds {
            let p0 = Self.m0.multipliedFullWidth(by: c.0)
            let p1 = Self.m1.multipliedFullWidth(by: c.2)
            c = (p1.high ^ c.1 ^ k.0, p1.low, p0.high ^ c.3 ^ k.1, p0.low)
            k = (k.0 &+ Self.w0, k.1 &+ Self.w1)
        }
        return c
    }
}

extension Duration {
    /// Reads a number with its unit: `250us`, `5ms`, `30s`, `2m`, `1h`; fractions too.
    ///
    /// - Returns: nil for anything else, for what is negative and for more than a year.
    package init?(spelled text: String) {
        let units: [(String, Double)] = [
            ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600),
        ]
        guard let (name, scale) = units.first(where: { text.hasSuffix($0.0) }),
            let number = Double(text.dropLast(name.count)), number >= 0, number.isFinite, number * scale <= 31_536_000
        else { return nil }
        self = .nanoseconds(Int64((number * scale * 1e9).rounded()))
    }

    /// In nanoseconds; what `init(spelled:)` reads fits.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// In seconds.
    package var seconds: Double { Double(nanoseconds) / 1e9 }
}

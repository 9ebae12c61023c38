extension Int {
    /// As a size for people: 940 B, 1.2 kB, 35 MB.
    package var inBytes: String {
        var value = Double(self)
        var units = ["B", "kB", "MB", "GB", "TB"][...]
        while value >= 1000, units.count > 1 {
            value /= 1000
            units.removeFirst()
        }
        let rounded = (value * 10).rounded() / 10
        return "\(rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)") \(units[units.startIndex])"
    }
}

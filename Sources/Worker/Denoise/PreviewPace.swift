internal import Wire

/// Says whether a client may be sent a preview now, of whichever of its jobs. Pure: moments are passed in, in seconds.
struct PreviewPace {
    /// Of one client's previews; the broker passes on no more either.
    private static let bytesPerSecond = 4_194_304.0
    /// Seconds by which previews may be ahead of what they have paid for.
    private static let credit = 0.25

    /// When the previews that a client was sent have paid for their bytes, where that is still to come.
    private var paid: [ClientID: Double] = [:]

    func maySend(to client: ClientID, at now: Double) -> Bool { paid[client] ?? now <= now + Self.credit }

    mutating func sent(_ bytes: Int, to client: ClientID, at now: Double) {
        paid = paid.filter { $0.value > now }
        paid[client] = max(paid[client] ?? now, now) + Double(bytes) / Self.bytesPerSecond
    }
}

internal import Exchange
internal import Wire

/// Messages that hold nobody up: that a job is accepted, that a result or its acknowledgement is stored. They wait for the next
/// message to the same peer, for a moment at most: alone, each costs its peer a wake-up and the machine as much work as half a
/// payload, at just the time at which the job itself is on its way.
///
///     if SideMail.isPatient(frames) { mail.hold(frames, for: connection, at: now) } else { … mail.take(for: connection) … }
struct SideMail {
    private var waiting: [ConnectionID: [Frames]] = [:]
    /// Uptime by which all that waits has to go; `.max`: nothing does.
    private(set) var due = Int64.max

    private static let patience = 1 * Int64.millisecond

    static func isPatient(_ frames: Frames) -> Bool {
        switch frames.control.body {
        case .accepted, .resultStored, .ackStored: true
        default: false
        }
    }

    mutating func hold(_ frames: Frames, for connection: ConnectionID, at now: Int64) {
        if waiting.isEmpty { due = now + Self.patience }
        waiting[connection, default: []].append(frames)
    }

    /// What has to go before anything else to this connection does.
    mutating func take(for connection: ConnectionID) -> [Frames] {
        guard !waiting.isEmpty, let frames = waiting.removeValue(forKey: connection) else { return [] }
        if waiting.isEmpty { due = .max }
        return frames
    }

    mutating func takeAll() -> [ConnectionID: [Frames]] {
        defer {
            waiting.removeAll(keepingCapacity: true)
            due = .max
        }
        return waiting
    }
}

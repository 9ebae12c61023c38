/// One client's results, and which of them are on their way.
///
/// At most a window of jobs and bytes is sent and not yet acknowledged, so a client that reads slowly costs the broker's
/// outbox no more than that. Within a session nothing that was sent is lost (a gap ends the session), so each result is sent
/// once per session.
struct Mailbox: Sendable {
    private var waiting = HandleQueue()
    private var inFlight: [JobHandle: (order: UInt64, bytes: Int)] = [:]
    private var inFlightBytes = 0
    private var sent: UInt64 = 0

    mutating func put(_ handle: JobHandle) { waiting.append(handle) }

    /// The next result to send, if the window has room for another. One result is always let through.
    mutating func next(
        window: (jobs: Int, bytes: Int), where wanted: (JobHandle) -> Bool, size: (JobHandle) -> Int
    ) -> JobHandle? {
        guard inFlight.count < window.jobs, let handle = waiting.first(where: wanted) else { return nil }
        let bytes = size(handle)
        guard inFlight.isEmpty || inFlightBytes + bytes <= window.bytes else { return nil }
        _ = waiting.popFirst(where: wanted)
        sent += 1
        inFlight[handle] = (sent, bytes)
        inFlightBytes += bytes
        return handle
    }

    /// The result is acknowledged or not kept any longer.
    mutating func remove(_ handle: JobHandle, where wanted: (JobHandle) -> Bool) {
        if let letter = inFlight.removeValue(forKey: handle) {
            inFlightBytes -= letter.bytes
        } else {
            waiting.removed(where: wanted)
        }
    }

    /// The session is over: all that was on its way will be sent again, oldest first.
    mutating func rewind() {
        for (handle, _) in inFlight.sorted(by: { $0.value.order > $1.value.order }) { waiting.prepend(handle) }
        inFlight.removeAll()
        inFlightBytes = 0
    }
}

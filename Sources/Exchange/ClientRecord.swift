internal import Wire

/// What the broker knows of a client. Records are as many as the roster has clients, and stay.
struct ClientRecord: Sendable {
    let id: ClientID
    var rights = ClientRights()
    var session: ConnectionID?
    /// Jobs that are not over.
    var jobs: [JobID: JobHandle] = [:]
    /// Jobs that are over and have not expired.
    var tombstones: [JobID: Tombstone] = [:]
    var usage = Usage()
    /// Bytes of its largest result of late: what the next may bring.
    var resultSizes: [WorkerRole: Int] = [:]
    /// Roles of whose jobs none is leased until it has taken results away.
    var held: Set<WorkerRole> = []
    var mailbox = Mailbox()
    /// Uptime by which the previews that were passed on have paid for their bytes.
    var previewsPaid = Int64.min / 2

    /// Previews may be ahead of what they have paid for by this.
    private static let previewCredit = Int64.second / 4

    /// Whether another preview of so many bytes goes out now: at most `rate` bytes a second, and a quarter of that at once, but always one.
    mutating func mayPreview(_ bytes: Int, rate: Int, at now: Int64) -> Bool {
        guard session != nil, previewsPaid <= now + Self.previewCredit else { return false }
        previewsPaid = max(previewsPaid, now) + Int64(Double(bytes) / Double(max(rate, 1)) * Double(Int64.second))
        return true
    }
}

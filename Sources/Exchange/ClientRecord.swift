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
    var mailbox = Mailbox()
    /// Uptime.
    var lastPreview = Int64.min / 2
}

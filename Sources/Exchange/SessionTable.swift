internal import Wire

/// Who is connected, and how far the opening has come.
///
/// A session belongs to one connection and one principal. A principal has one session: the newest wins, so that a client
/// that lost its network is served at once on its new connection; nothing is lost with the older one, since jobs and
/// results belong to the principal and not to the session. The same holds of sessions that are still opening, so a peer
/// occupies at most two entries, whatever it does.
struct SessionTable: Sendable {
    private(set) var sessions: [ConnectionID: Session] = [:]
    private var opening: [PrincipalID: ConnectionID] = [:]
    private var open: [PrincipalID: ConnectionID] = [:]

    var openCount: Int { open.count }

    subscript(connection: ConnectionID) -> Session? { sessions[connection] }

    func openConnection(of principal: PrincipalID) -> ConnectionID? { open[principal] }

    /// - Returns: the connection whose opening this one replaces.
    mutating func begin(
        _ connection: ConnectionID, principal: PrincipalID, nonce: [UInt8], heartbeat: Int64, at now: Int64
    ) -> ConnectionID? {
        let older = opening.updateValue(connection, forKey: principal)
        sessions[connection] = Session(
            principal: principal, phase: .challenged(nonce: nonce), heartbeat: heartbeat, heard: now)
        return older
    }

    /// - Returns: the connection whose session this one replaces.
    mutating func welcome(_ connection: ConnectionID, index: Int, heartbeat: Int64) -> ConnectionID? {
        guard let principal = sessions[connection]?.principal else { return nil }
        sessions[connection]?.phase = .open(index: index)
        sessions[connection]?.heartbeat = heartbeat
        opening[principal] = nil
        return open.updateValue(connection, forKey: principal)
    }

    mutating func heard(_ connection: ConnectionID, at now: Int64) {
        sessions[connection]?.heard = now
        sessions[connection]?.expected += 1
    }

    /// The number of the next message to this connection.
    mutating func number(_ connection: ConnectionID) -> UInt64? {
        guard sessions[connection] != nil else { return nil }
        sessions[connection]?.sent += 1
        return sessions[connection]?.sent
    }

    mutating func remove(_ connection: ConnectionID) -> Session? {
        guard let session = sessions.removeValue(forKey: connection) else { return nil }
        if opening[session.principal] == connection { opening[session.principal] = nil }
        if open[session.principal] == connection { open[session.principal] = nil }
        return session
    }
}

struct Session: Sendable {
    enum Phase: Sendable {
        /// HELLO came, CHALLENGE went. → open (its nonce came back), gone (wrong nonce, silence, another message)
        case challenged(nonce: [UInt8])
        /// WELCOME went. `index`: the client's or worker's record. → gone (BYE, silence, a gap, a message out of order)
        case open(index: Int)
    }

    let principal: PrincipalID
    var phase: Phase
    /// How often the peer says something, in nanoseconds.
    var heartbeat: Int64
    /// Uptime of the last message.
    var heard: Int64
    /// The number that the next message must bear.
    var expected: UInt64 = 1
    /// The number of the last message that was sent.
    var sent: UInt64 = 0
}

/// A principal without its rights, which may change during a session.
enum PrincipalID: Hashable, Sendable {
    case client(ClientID)
    case worker(WorkerID)

    init(_ principal: Principal) {
        switch principal {
        case .client(let id, _): self = .client(id)
        case .worker(let id, _): self = .worker(id)
        }
    }

    var side: Side {
        switch self {
        case .client: .client
        case .worker: .worker
        }
    }
}

internal import Exchange
internal import ZeroMQ

/// Which connection is behind which routing id, and what waits for it.
struct ConnectionTable {
    struct Connection {
        let id: ConnectionID
        let route: RoutingID
        /// As the authenticator named the peer.
        let userID: String
        let key: CurveKey
        /// Uptime of the last message.
        var heard: Int64
        var outbox = Outbox()
    }

    private struct Place: Hashable {
        let side: Side
        let route: RoutingID
    }

    private var connections: [ConnectionID: Connection] = [:]
    private var places: [Place: ConnectionID] = [:]
    private var lastNumber: UInt64 = 0
    /// Connections whose outbox is not empty.
    private(set) var blocked: Set<ConnectionID> = []

    var count: Int { connections.count }
    var all: some Collection<Connection> { connections.values }

    subscript(id: ConnectionID) -> Connection? { connections[id] }

    /// The connection that a message came by; a new one when its routing id is new, or now another key's.
    /// - Returns: nil when `userID` is no key.
    mutating func connection(_ side: Side, _ route: RoutingID, userID: String, at now: Int64) -> Connection? {
        let place = Place(side: side, route: route)
        if let id = places[place], connections[id]?.userID == userID {
            connections[id]?.heard = now
            return connections[id]
        }
        guard let key = CurveKey(hex: userID) else { return nil }
        if let stale = places[place] { remove(stale) }
        lastNumber += 1
        let id = ConnectionID(side: side, number: lastNumber)
        let connection = Connection(id: id, route: route, userID: userID, key: key, heard: now)
        places[place] = id
        connections[id] = connection
        return connection
    }

    mutating func remove(_ id: ConnectionID) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        places[Place(side: id.side, route: connection.route)] = nil
        blocked.remove(id)
    }

    /// - Returns: the bytes that wait for it now.
    mutating func enqueue(_ parts: [[UInt8]], for id: ConnectionID) -> Int {
        connections[id]?.outbox.append(parts)
        blocked.insert(id)
        return connections[id]?.outbox.bytes ?? 0
    }

    mutating func dequeue(from id: ConnectionID) {
        connections[id]?.outbox.removeFirst()
        if connections[id]?.outbox.isEmpty ?? true { blocked.remove(id) }
    }
}

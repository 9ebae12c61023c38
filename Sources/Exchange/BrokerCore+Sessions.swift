internal import Wire

internal import struct Foundation.Data

extension BrokerCore {
    /// The gate: only a message that belongs to a session of its own principal and follows the one before gets further.
    mutating func admit(_ frames: Frames, from connection: ConnectionID, as principal: Principal?) {
        guard let principal else { return dismiss(connection, "this key is not known here (any more)") }
        let id = PrincipalID(principal)
        guard id.side == connection.side else { return dismiss(connection, Self.wrongPort(connection.side)) }
        guard let session = sessions[connection] else {
            guard case .hello(let hello) = frames.control.body, hello.challenge.isEmpty, frames.control.sequence == 1
            else {
                return dismiss(connection, "there is no session here; say HELLO on a new connection")
            }
            return challenge(hello, from: connection, as: id)
        }
        guard session.principal == id else { return dismiss(connection, "the session belongs to another key") }
        guard frames.control.sequence == session.expected else {
            counters.gaps += 1
            return dismiss(connection, "message \(session.expected) was lost; open a new session")
        }
        sessions.heard(connection, at: now.uptime)
        switch session.phase {
        case .challenged(let nonce):
            guard case .hello(let hello) = frames.control.body, Array(hello.challenge) == nonce else {
                return dismiss(connection, "HELLO with the challenge's nonce was expected")
            }
            switch principal {
            case .client(let client, let rights): welcome(client, rights, on: connection)
            case .worker(let worker, let roles): welcome(worker, roles, on: connection)
            }
        case .open(let index):
            switch principal {
            case .client(_, let rights):
                renew(rights, of: index)
                receive(frames, fromClient: index, on: connection)
            case .worker(_, let roles):
                workers[index].allowed = roles
                receive(frames, fromWorker: index, on: connection)
            }
        }
    }

    private static func wrongPort(_ side: Side) -> String {
        switch side {
        case .client: "this port is for clients and the key is a worker's: connect to the broker's port for workers"
        case .worker: "this port is for workers and the key is a client's: connect to the broker's port for clients"
        }
    }

    private mutating func challenge(_ hello: WireHello, from connection: ConnectionID, as principal: PrincipalID) {
        let role = principal.side == .client ? "client" : "worker"
        guard hello.role == role else {
            return dismiss(connection, "HELLO names the role “\(hello.role)”, not “\(role)”")
        }
        let nonce = randomBytes(16)
        let older = sessions.begin(
            connection, principal: principal, nonce: nonce, heartbeat: configuration.heartbeat, at: now.uptime)
        if let older, older != connection { dismiss(older, "the opening was begun again on another connection") }
        sessions.heard(connection, at: now.uptime)
        timers.add(.session(connection), due: now.uptime + silence)
        var challenge = WireChallenge()
        challenge.nonce = Data(nonce)
        send(.challenge(challenge), to: connection)
    }

    private mutating func welcome(_ client: ClientID, _ rights: ClientRights, on connection: ConnectionID) {
        let index = place(of: client), heartbeat = clientHeartbeat
        replaceSession(with: connection, index: index, heartbeat: heartbeat)
        clients[index].session = connection
        renew(rights, of: index)
        send(.welcome(welcome(configuration.limits.of(rights), heartbeat: heartbeat)), to: connection)
        deliver(to: index)
    }

    private mutating func welcome(_ worker: WorkerID, _ roles: Set<WorkerRole>, on connection: ConnectionID) {
        let index = place(of: worker)
        replaceSession(with: connection, index: index, heartbeat: configuration.heartbeat)
        workers[index].session = connection
        workers[index].leftAt = nil
        workers[index].allowed = roles
        send(.welcome(welcome(configuration.limits, heartbeat: configuration.heartbeat)), to: connection)
    }

    /// Of a session that is opened now. The more there are, the less often each says that it is there.
    private var clientHeartbeat: Int64 {
        let share = Int64(sessions.openCount) * .second / configuration.clientHeartbeatsPerSecond
        return max(configuration.heartbeat, min(share, configuration.longestHeartbeat))
    }

    private mutating func replaceSession(with connection: ConnectionID, index: Int, heartbeat: Int64) {
        counters.sessionsOpened += 1
        let older = sessions.welcome(connection, index: index, heartbeat: heartbeat)
        if let older, older != connection { dismiss(older, "another session of this key was opened") }
    }

    private mutating func welcome(_ limits: Limits, heartbeat: Int64) -> WireWelcome {
        var welcome = WireWelcome()
        welcome.sessionID = Data(randomBytes(16))
        welcome.brokerID = Data(broker.bytes)
        welcome.bootEpoch = bootEpoch
        welcome.heartbeatMs = UInt64(heartbeat / .millisecond)
        welcome.limits.jobsPerClient = UInt32(clamping: limits.jobsPerClient)
        welcome.limits.bytesPerClient = UInt64(limits.bytesPerClient)
        welcome.limits.bytesPerJob = UInt64(limits.bytesPerJob)
        welcome.limits.resultTtlMs = UInt64(limits.resultLife)
        welcome.credit = configuration.credit
        welcome.keyBundle = Data(configuration.keyBundle)
        welcome.brokerTimeMs = now.wall
        return welcome
    }

    /// Ends whatever session the connection has, and says why.
    mutating func dismiss(_ connection: ConnectionID, _ reason: String) {
        counters.dismissed += 1
        var bye = WireBye()
        bye.reason = reason
        if sessions[connection] == nil {
            var frames = Frames(.bye(bye))
            frames.control.sequence = 1
            actions.append(.send(frames, to: connection))
        } else {
            send(.bye(bye), to: connection)
        }
        part(from: connection)
    }

    /// Ends whatever session the connection has. What the principal left here stays.
    mutating func part(from connection: ConnectionID) {
        actions.append(.drop(connection))
        guard let session = sessions.remove(connection), case .open(let index) = session.phase else { return }
        switch session.principal {
        case .client:
            guard clients[index].session == connection else { return }
            clients[index].session = nil
            clients[index].mailbox.rewind()
        case .worker:
            guard workers[index].session == connection else { return }
            leave(index)
        }
    }

    /// The session's timer rang: it is over, or was heard since.
    mutating func checkSilence(of connection: ConnectionID) {
        guard let session = sessions[connection] else { return }
        let silence = session.heartbeat * configuration.missedHeartbeats
        let due = session.heard + silence
        guard due <= now.uptime else { return timers.add(.session(connection), due: due) }
        if case .open(let index) = session.phase, case .worker = session.principal { abandon(index) }
        dismiss(connection, "nothing was heard for \(silence / .second) s")
    }

    /// How long a worker may be silent, or a peer whose session is being opened.
    var silence: Int64 { configuration.heartbeat * configuration.missedHeartbeats }

    mutating func place(of client: ClientID) -> Int {
        if let place = clientPlaces[client] { return place }
        clients.append(ClientRecord(id: client))
        clientPlaces[client] = clients.count - 1
        return clients.count - 1
    }

    private mutating func place(of worker: WorkerID) -> Int {
        if let place = workerPlaces[worker] { return place }
        workers.append(WorkerRecord(id: worker))
        workerPlaces[worker] = workers.count - 1
        return workers.count - 1
    }

    private mutating func renew(_ rights: ClientRights, of index: Int) {
        guard clients[index].rights != rights else { return }
        clients[index].rights = rights
        for role in WorkerRole.allCases {
            queues[role]?.renewShare(of: index, priority: rights.priority, weight: rights.weight, at: now.uptime)
        }
        serveHeld()
    }

    private mutating func randomBytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }
}

package import Exchange
package import Logging
package import Wire
package import ZeroMQ

/// The broker's sockets: a ROUTER for clients and one for workers, the authenticator that guards both, and what waits for
/// peers that read slowly. It belongs to one thread and decides nothing.
///
///     while !isOver {
///         try hub.wait(until: core.nextDeadline)
///         for event in try hub.take() { … }
///         …
///         try hub.send(frames, to: connection)
///     }
///
/// A message counts as its peer's only by the key that CURVE proved, asked for anew with every message: so a key that was
/// taken from the roster is not served any more, although libzmq cannot close its connection.
package final class RouterHub {
    /// Who stands behind a key now; nil: nobody.
    package typealias Resolve = (CurveKey) -> Principal?

    /// Where the hub really listens.
    package let endpoints: [Side: String]
    package private(set) var traffic: [CurveKey: Traffic] = [:]
    /// Handshakes and messages of peers that nobody knows.
    package private(set) var refused = 0

    private let settings: HubSettings
    private let authenticator: Authenticator
    private let routers: [(side: Side, socket: Socket)]
    /// Which of `routers` may have something to read. To ask in vain costs a system call.
    private var readable: [Bool] = []
    private let resolve: Resolve
    private let wakeUp: WakeUp
    private let clock: () -> Moment
    private var refusalLog: RateLimitedLog
    private var table = ConnectionTable()
    /// Found out while sending; told in the next round.
    private var gone: [ConnectionID] = []
    /// The last round ended at its limit, so more may wait.
    private var mayHaveMore = false
    /// The last round brought messages, and so many before it: the next looks at once, without the system calls of a poll.
    private var isBusy = false
    private var busyRounds = 0
    private var nextSweep: Int64

    /// After so many rounds handshakes are answered again, and deadlines kept.
    private static let mostBusyRounds = 8

    /// - Throws: `.addressInUse` and others that name the endpoint.
    package init(
        context: Context, settings: HubSettings, secret: CurveSecret, wakeUp: WakeUp, logger: Logger,
        clock: @escaping () -> Moment = Moment.now, resolve: @escaping Resolve
    ) throws(ZeroMQError) {
        self.settings = settings
        self.resolve = resolve
        self.wakeUp = wakeUp
        self.clock = clock
        refusalLog = RateLimitedLog(logger)
        nextSweep = clock().uptime + settings.idleLimit * 1_000_000
        authenticator = try Authenticator(context)
        var routers: [(side: Side, socket: Socket)] = []
        var endpoints: [Side: String] = [:]
        // In a fixed order, so that the same port is named whenever several are taken.
        for side in Side.allCases {
            guard let endpoint = settings.endpoints[side] else { continue }
            var options = SocketSettings()
            options.linger = settings.linger
            options.maximumFrameLength = Int64(settings.maximumMessageBytes[side, default: 0])
            options.security = .server(secret, domain: side == .client ? "clients" : "workers")
            let router = try Socket(context, .router, options)
            endpoints[side] = try router.bind(endpoint)
            routers.append((side, router))
        }
        self.routers = routers
        self.endpoints = endpoints
    }

    /// Waits until something came in, the wake-up was signalled or `deadline` (uptime) has come; answers handshakes.
    ///
    /// - Parameter isDeaf: what peers send stays in the sockets: it neither ends the wait nor is taken after it.
    package func wait(until deadline: Int64?, isDeaf: Bool = false) throws(ZeroMQError) {
        if isBusy, !isDeaf, busyRounds < Self.mostBusyRounds {
            busyRounds += 1
            readable = routers.map { _ in true }
            return
        }
        busyRounds = 0
        let now = clock().uptime
        var timeout = min(deadline ?? .max, nextSweep) - now
        if !table.blocked.isEmpty { timeout = min(timeout, settings.retryInterval * 1_000_000) }
        if (mayHaveMore && !isDeaf) || !gone.isEmpty { timeout = 0 }
        let heard = isDeaf ? [] : routers.map(\.socket)
        var poll = PollSet(readable: heard + [authenticator.socket], wakeUp: wakeUp)
        // Rounded up, so that it does not wake a moment early and spin.
        try poll.wait(timeout: Int((max(0, timeout) + 999_999) / 1_000_000))
        readable = routers.indices.map { !isDeaf && poll.isReadable($0) }
        guard poll.isReadable(heard.count) else { return }
        for refusal in try authenticator.serve(isKnown: { resolve($0) != nil }) {
            refused += 1
            let key = refusal.key?.description ?? "none"
            refusalLog.warning(
                "Turned away a key that nobody knows", ["key": "\(key)", "address": "\(refusal.address)"])
        }
    }

    /// What happened since the last round, up to the round's limits.
    package func take() throws(ZeroMQError) -> [HubEvent] {
        let now = clock().uptime
        try retryBlocked()
        sweep(at: now)
        var events = gone.map(HubEvent.unreachable)
        gone = []
        var messages = 0
        var bytes = 0
        var open = zip(routers, readable).filter(\.1).map(\.0)
        // By turns, so that neither side can keep the other waiting.
        while !open.isEmpty, messages < settings.roundMessages, bytes < settings.roundBytes {
            for index in open.indices.reversed() {
                let (side, router) = open[index]
                switch try router.receive(
                    ReceiveLimits(parts: Frames.maximumCount, bytes: settings.maximumMessageBytes[side, default: 0]))
                {
                case .nothing:
                    open.remove(at: index)
                case .refused(let refusal, _):
                    messages += 1
                    refused += 1
                    refusalLog.warning("Dropped a message that breaks the limits", ["why": "\(refusal)"])
                case .message(let incoming):
                    messages += 1
                    let size = Outbox.size(of: incoming.parts)
                    bytes += size
                    if let event = event(of: incoming, size: size, side, at: now) { events.append(event) }
                }
            }
        }
        mayHaveMore = !open.isEmpty
        isBusy = messages > 0
        return events
    }

    private func event(of incoming: Incoming, size: Int, _ side: Side, at now: Int64) -> HubEvent? {
        guard let route = incoming.route, let userID = incoming.userID,
            let connection = table.connection(side, route, userID: userID, at: now)
        else {
            refused += 1
            refusalLog.warning("Dropped a message of a peer that nobody vouches for", ["side": "\(side)"])
            return nil
        }
        traffic[connection.key, default: Traffic()].messagesIn += 1
        traffic[connection.key, default: Traffic()].bytesIn += size
        do throws(WireError) {
            return .message(connection.id, resolve(connection.key), try Frames(parts: incoming.parts))
        } catch {
            return .garbage(connection.id, resolve(connection.key), error)
        }
    }

    /// Queues a message for a connection; never waits. A connection that is gone shows as `unreachable` in a later round.
    package func send(_ frames: Frames, to id: ConnectionID) throws(ZeroMQError) {
        guard let connection = table[id] else { return }
        let parts = frames.parts(sequence: frames.control.sequence)
        if connection.outbox.isEmpty, try pass(parts, to: connection) { return }
        guard table[id] != nil else { return }
        if table.enqueue(parts, for: id) > settings.maximumOutboxBytes[id.side, default: 0] {
            refusalLog.warning("A peer reads too slowly and is dropped", ["key": "\(connection.key)"])
            lose(id)
        }
    }

    /// Forgets a connection; what waits for it is thrown away. Its peer may go on under a new `ConnectionID`.
    package func drop(_ id: ConnectionID) {
        table.remove(id)
    }

    /// Sends what waits, for as long as the sockets linger.
    package func finish() throws(ZeroMQError) {
        let last = clock().uptime + Int64(settings.linger) * 1_000_000
        while !table.blocked.isEmpty, clock().uptime < last {
            var poll = PollSet(readable: [], wakeUp: wakeUp)
            try poll.wait(timeout: Int(settings.retryInterval))
            try retryBlocked()
        }
    }

    /// - Returns: false when the socket has no room, or the connection is gone.
    private func pass(_ parts: [[UInt8]], to connection: ConnectionTable.Connection) throws(ZeroMQError) -> Bool {
        guard let router = routers.first(where: { $0.side == connection.id.side }) else { return false }
        switch try router.socket.send(parts, to: connection.route) {
        case .sent:
            traffic[connection.key, default: Traffic()].messagesOut += 1
            traffic[connection.key, default: Traffic()].bytesOut += Outbox.size(of: parts)
            return true
        case .wouldBlock:
            return false
        case .unreachable:
            lose(connection.id)
            return false
        }
    }

    private func retryBlocked() throws(ZeroMQError) {
        for id in table.blocked {
            while let connection = table[id], let parts = connection.outbox.first, try pass(parts, to: connection) {
                table.dequeue(from: id)
            }
        }
    }

    private func lose(_ id: ConnectionID) {
        table.remove(id)
        gone.append(id)
    }

    /// libzmq does not say when an accepted peer leaves, so silence must do.
    private func sweep(at now: Int64) {
        guard now >= nextSweep else { return }
        let limit = settings.idleLimit * 1_000_000
        nextSweep = now + limit / 4
        for connection in table.all where now - connection.heard > limit { lose(connection.id) }
    }
}

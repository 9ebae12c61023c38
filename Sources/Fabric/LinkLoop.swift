internal import Exchange
internal import Logging
internal import Wire
internal import ZeroMQ

/// The loop of a link's thread: wait, hear what others want and what came in, look at the clock, carry out.
final class LinkLoop<Machine: LinkMachine> {
    private let context: Context
    private let brokers: [BrokerAddress]
    private let identity: CurveIdentity
    private var machine: Machine
    private let inbox: Inbox<LinkRequest<Machine.Command>>
    private let settings: LinkSettings
    private let logger: Logger
    private let clock: @Sendable () -> Moment
    private let report: @Sendable (LinkReport) -> Void
    private let deliver: @Sendable (Machine.Event) -> Void

    /// nil: between two sockets.
    private var connection: LinkConnection?
    private var place = 0
    /// Uptime until which the broker at `place` is waited for although it cannot be reached.
    private var waitsUntil: Int64 = 0
    /// Uptime until which a socket may be without any sign of its broker; `.max`: there is only one broker.
    private var silentUntil = Int64.max
    /// How long the next may be, in milliseconds: it doubles while brokers that are slow to shake hands are passed by, so that clients
    /// of a loaded one do not swing between brokers for ever.
    private var silence: Int64
    /// Uptime before which no other socket is opened.
    private var openAfter: Int64 = 0
    private var pause: Int64
    private var lastReport: LinkReport?
    private var isOver = false

    /// Messages read before the clock and the inbox are looked at again.
    private let batch = 64
    /// In patiences.
    private static var longestSilence: Int64 { 16 }

    init(
        context: Context, brokers: [BrokerAddress], identity: CurveIdentity, machine: Machine,
        inbox: Inbox<LinkRequest<Machine.Command>>, settings: LinkSettings, logger: Logger,
        clock: @escaping @Sendable () -> Moment, report: @escaping @Sendable (LinkReport) -> Void,
        deliver: @escaping @Sendable (Machine.Event) -> Void
    ) {
        self.context = context
        self.brokers = brokers
        self.identity = identity
        self.machine = machine
        self.inbox = inbox
        self.settings = settings
        self.logger = logger
        self.clock = clock
        self.report = report
        self.deliver = deliver
        pause = settings.firstPause
        silence = settings.patience
    }

    func run() throws(ZeroMQError) {
        while !isOver {
            try openIfDue()
            let ready = try wait()
            for request in inbox.takeAll() {
                switch request {
                case .command(let command): try carryOut(machine.handle(command, at: clock()))
                case .close: isOver = true
                }
            }
            try connection?.flush()
            if ready.messages { try receive() }
            if ready.reports { try watch() }
            try giveUpIfDue()
            if let deadline = machine.nextDeadline, deadline <= clock().uptime {
                try carryOut(machine.tick(at: clock()))
            }
        }
        try end()
    }

    private func openIfDue() throws(ZeroMQError) {
        guard connection == nil, clock().uptime >= openAfter else { return }
        let broker = brokers[place % brokers.count]
        tell(.connecting(broker.endpoint))
        connection = try LinkConnection(context, broker, identity, settings)
        if brokers.count > 1 { silentUntil = clock().uptime + silence * 1_000_000 }
    }

    /// A broker whose host is gone does not even refuse.
    private func giveUpIfDue() throws(ZeroMQError) {
        guard let connection, !connection.wasConnected, clock().uptime >= silentUntil else { return }
        tell(.unreachable(connection.broker.endpoint))
        silence = min(2 * silence, Self.longestSilence * settings.patience)
        try move()
    }

    private func wait() throws(ZeroMQError) -> (messages: Bool, reports: Bool) {
        let now = clock().uptime
        let opening = connection.map { $0.wasConnected ? Int64.max : silentUntil } ?? openAfter
        let deadlines = [machine.nextDeadline, opening == .max ? nil : opening].compactMap { $0 }
        // Rounded up, so that it does not wake a moment early and spin.
        let timeout = deadlines.min().map { Int(max(0, $0 - now + 999_999) / 1_000_000) } ?? -1
        if let connection { return try connection.wait(timeout: timeout, inbox.wakeUp) }
        var poll = PollSet(readable: [], wakeUp: inbox.wakeUp)
        try poll.wait(timeout: timeout)
        return (false, false)
    }

    /// - Returns: how many messages there were, `batch` at most.
    @discardableResult
    private func receive() throws(ZeroMQError) -> Int {
        let current = connection
        for count in 0..<batch {
            // A message may end the connection it came by.
            guard let connection, connection === current, let reception = try connection.receive() else { return count }
            switch reception {
            case .nothing:
                return count
            case .refused(let refusal, _):
                let error = WireError(.malformed, "the message was not read: \(refusal)")
                try carryOut(machine.receivedGarbage(error, at: clock()))
            case .message(let message):
                let actions: [LinkAction<Machine.Event>]
                do throws(WireError) {
                    actions = machine.receive(try Frames(parts: message.parts), at: clock())
                } catch {
                    actions = machine.receivedGarbage(error, at: clock())
                }
                try carryOut(actions)
            }
        }
        return batch
    }

    /// What the monitor saw. The machine is told of a socket only once it is connected: before, what it says could only
    /// grow old. A lost connection ends the session, so it takes a fresh socket and not libzmq's next try: on that one the
    /// broker would hear a stranger in mid-sentence.
    private func watch() throws(ZeroMQError) {
        while let connection, let seen = try connection.nextReport() {
            tell(seen)
            switch seen {
            case .connected:
                pause = settings.firstPause
                silence = settings.patience
                try carryOut(machine.opened(at: clock()))
            case .lost:
                // What came in before the end is still there: the broker's BYE, or the last results.
                while try receive() == batch {}
                waitsUntil = clock().uptime + settings.patience * 1_000_000
                if self.connection === connection { try reopen() }
            case .unreachable:
                // libzmq tries again by itself; another broker may be there at once. One that was there a moment ago may only be
                // starting again, and has our jobs.
                if brokers.count > 1, clock().uptime >= waitsUntil { try move() }
            case .refused, .wrongServer:
                // People have to do something first. libzmq would give up, or try ten times a second.
                pause = settings.longestPause
                try move()
            case .connecting:
                break
            }
        }
    }

    private func carryOut(_ actions: [LinkAction<Machine.Event>]) throws(ZeroMQError) {
        for action in actions {
            switch action {
            case .event(let event):
                deliver(event)
            case .send(let frames):
                // Between two connections there is nobody to send to; the machine starts anew when it is told of the next.
                guard let connection, connection.wasConnected else { continue }
                if try !connection.send(frames.parts(sequence: frames.control.sequence)) {
                    logger.warning("More waits to be sent than may; the connection is given up")
                    try reopen()
                }
            case .reconnect:
                try reopen()
            case .move:
                try move()
            case .close:
                isOver = true
            }
        }
    }

    private func move() throws(ZeroMQError) {
        place += 1
        waitsUntil = 0
        try reopen()
    }

    private func reopen() throws(ZeroMQError) {
        try connection?.abandon()
        connection = nil
        openAfter = clock().uptime + pause * 1_000_000
        pause = min(2 * pause, settings.longestPause)
    }

    /// What waits gets as long as the socket lingers.
    private func end() throws(ZeroMQError) {
        guard let connection, connection.wasConnected else { return }
        let last = clock().uptime + Int64(settings.linger) * 1_000_000
        while try !connection.flush(), clock().uptime < last {
            _ = try connection.wait(timeout: 20, inbox.wakeUp)
        }
    }

    private func tell(_ seen: LinkReport) {
        guard seen != lastReport else { return }
        lastReport = seen
        switch seen {
        case .connecting(let broker): logger.debug("Connecting", metadata: ["broker": "\(broker)"])
        case .connected(let broker): logger.info("Connected", metadata: ["broker": "\(broker)"])
        case .lost(let broker): logger.warning("Connection lost; connecting again", metadata: ["broker": "\(broker)"])
        case .unreachable(let broker):
            logger.warning("Broker not reachable; trying again", metadata: ["broker": "\(broker)"])
        case .refused(let broker):
            logger.error("The broker does not know our key; ask its operator", metadata: ["broker": "\(broker)"])
        case .wrongServer(let broker):
            logger.error(
                "The handshake failed: another port, another broker than the deployment's, or an old deployment folder; trying again",
                metadata: ["broker": "\(broker)"])
        }
        report(seen)
    }
}

internal import Wire
package import ZeroMQ

/// One DEALER and what watches it, from opening to closing; belongs to the link's thread.
package final class LinkConnection {
    package let broker: BrokerAddress
    private let dealer: Socket
    /// nil: nobody watches, and whoever owns thousands of connections hears of a loss from the state machine alone.
    private let monitor: Monitor?
    private let settings: LinkSettings
    private var outbox = Outbox()
    /// The handshake was done at least once.
    private(set) var wasConnected: Bool

    /// - Parameter isWatched: false saves a socket pair; then it counts as connected from the start.
    package init(
        _ context: Context, _ broker: BrokerAddress, _ identity: CurveIdentity, _ settings: LinkSettings,
        isWatched: Bool = true
    ) throws(ZeroMQError) {
        self.broker = broker
        self.settings = settings
        var options = SocketSettings()
        options.linger = settings.linger
        // With IMMEDIATE libzmq throws away what came in and was not yet read when the connection ends. Nothing is queued
        // too early without it either: the machine is told of a socket only once it is connected.
        options.immediate = false
        options.maximumFrameLength = Int64(settings.maximumMessageBytes)
        options.security = .client(identity.key, identity.secret, server: broker.key)
        dealer = try Socket(context, .dealer, options)
        monitor = isWatched ? try Monitor(context, watching: dealer) : nil
        wasConnected = !isWatched
        try dealer.connect(broker.endpoint)
    }

    /// Waits for messages, for room if something waits to be sent, for what the monitor sees and for the wake-up.
    /// - Returns: whether there are messages, and whether the monitor saw something. To ask either in vain costs a system
    ///   call.
    func wait(timeout: Int, _ wakeUp: WakeUp) throws(ZeroMQError) -> (messages: Bool, reports: Bool) {
        var poll = PollSet(
            readable: [dealer] + (monitor.map { [$0.socket] } ?? []), writable: outbox.isEmpty ? nil : dealer,
            wakeUp: wakeUp)
        try poll.wait(timeout: timeout)
        return (poll.isReadable(0), monitor != nil && poll.isReadable(1))
    }

    /// - Returns: nil when nothing waits.
    package func receive() throws(ZeroMQError) -> Reception? {
        let reception = try dealer.receive(
            ReceiveLimits(parts: Frames.maximumCount, bytes: settings.maximumMessageBytes))
        if case .nothing = reception { return nil }
        return reception
    }

    /// Whether the socket had no room for all that was sent.
    package var isBlocked: Bool { !outbox.isEmpty }

    /// - Returns: false when more waits than may.
    package func send(_ parts: [[UInt8]]) throws(ZeroMQError) -> Bool {
        if outbox.isEmpty, try dealer.send(parts) == .sent { return true }
        outbox.append(parts)
        return outbox.bytes <= settings.maximumOutboxBytes
    }

    /// - Returns: whether nothing waits any more.
    @discardableResult
    package func flush() throws(ZeroMQError) -> Bool {
        while let parts = outbox.first, try dealer.send(parts) == .sent { outbox.removeFirst() }
        return outbox.isEmpty
    }

    func nextReport() throws(ZeroMQError) -> LinkReport? {
        switch try monitor?.next() {
        case nil: return nil
        case .connected:
            wasConnected = true
            return .connected(broker.endpoint)
        case .disconnected: return wasConnected ? .lost(broker.endpoint) : .wrongServer(broker.endpoint)
        case .refused: return .refused(broker.endpoint)
        case .handshakeFailed: return .wrongServer(broker.endpoint)
        case .retrying: return .unreachable(broker.endpoint)
        }
    }

    /// Where many connections are waited for together.
    package func join(_ poll: CrowdPoll, as number: Int) throws(ZeroMQError) { try poll.add(dealer, as: number) }

    package func leave(_ poll: CrowdPoll) throws(ZeroMQError) { try poll.remove(dealer) }

    /// What still waits is meant for a session that is over.
    package func abandon() throws(ZeroMQError) {
        outbox.removeAll()
        try dealer.discardOnClose()
    }
}

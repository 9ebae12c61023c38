internal import Wire
internal import ZeroMQ

/// One DEALER and what watches it, from opening to closing; belongs to the link's thread.
final class LinkConnection {
    let broker: BrokerAddress
    private let dealer: Socket
    private let monitor: Monitor
    private let settings: LinkSettings
    private var outbox = Outbox()
    /// The handshake was done at least once.
    private(set) var wasConnected = false

    init(_ context: Context, _ broker: BrokerAddress, _ identity: CurveIdentity, _ settings: LinkSettings)
        throws(ZeroMQError)
    {
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
        monitor = try Monitor(context, watching: dealer)
        try dealer.connect(broker.endpoint)
    }

    /// Waits for messages, for room if something waits to be sent, for what the monitor sees and for the wake-up.
    /// - Returns: whether there are messages, and whether the monitor saw something. To ask either in vain costs a system
    ///   call.
    func wait(timeout: Int, _ wakeUp: WakeUp) throws(ZeroMQError) -> (messages: Bool, reports: Bool) {
        var poll = PollSet(
            readable: [dealer, monitor.socket], writable: outbox.isEmpty ? nil : dealer, wakeUp: wakeUp)
        try poll.wait(timeout: timeout)
        return (poll.isReadable(0), poll.isReadable(1))
    }

    /// - Returns: nil when nothing waits.
    func receive() throws(ZeroMQError) -> Reception? {
        let reception = try dealer.receive(
            ReceiveLimits(parts: Frames.maximumCount, bytes: settings.maximumMessageBytes))
        if case .nothing = reception { return nil }
        return reception
    }

    /// - Returns: false when more waits than may.
    func send(_ parts: [[UInt8]]) throws(ZeroMQError) -> Bool {
        if outbox.isEmpty, try dealer.send(parts) == .sent { return true }
        outbox.append(parts)
        return outbox.bytes <= settings.maximumOutboxBytes
    }

    /// - Returns: whether nothing waits any more.
    @discardableResult
    func flush() throws(ZeroMQError) -> Bool {
        while let parts = outbox.first, try dealer.send(parts) == .sent { outbox.removeFirst() }
        return outbox.isEmpty
    }

    func nextReport() throws(ZeroMQError) -> LinkReport? {
        switch try monitor.next() {
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

    /// What still waits is meant for a session that is over.
    func abandon() throws(ZeroMQError) {
        outbox.removeAll()
        try dealer.discardOnClose()
    }
}

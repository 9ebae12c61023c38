internal import DequeModule
internal import Exchange
internal import Fabric
internal import Wire
internal import ZeroMQ

/// What stands in the middle: what is said to it, beside the payloads, and what it asks for.
enum Middle: Sendable {
    /// Sessions, acknowledgements, numbers.
    case broker
    /// Hands over whatever comes, or sends it back: a job comes back as it went.
    case proxy
}

/// One DEALER, the session on it, and what its socket has had no room for. It belongs to one thread.
///
/// Both sides of a comparison use it: payloads are lent to libzmq, each message is copied once where it comes in.
final class Line {
    private let socket: Socket
    private var waiting: Deque<[[UInt8]]> = []
    private var sent: UInt64 = 0
    private var lastSent: Int64 = 0
    /// How often the broker wants to hear something.
    var heartbeat = 2 * Int64.second
    /// Uptime at which it has to.
    var nextBeat: Int64 { lastSent + heartbeat }

    /// Then it is another line's turn.
    static let messagesInTurn = 64
    private static let limits = ReceiveLimits(parts: Frames.maximumCount, bytes: 64 << 20)

    init(_ context: Context, _ address: BrokerAddress, _ identity: CurveIdentity) throws {
        var settings = SocketSettings()
        settings.security = .client(identity.key, identity.secret, server: address.key)
        // Before the handshake is done it waits in `waiting`.
        socket = try Socket(context, .dealer, settings)
        try socket.connect(address.endpoint)
    }

    func join(_ poll: CrowdPoll, as number: Int) throws { try poll.add(socket, as: number) }

    /// The next message of the session.
    func send(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = []) throws {
        sent += 1
        try send(parts: Frames(body, attachments).parts(sequence: sent))
    }

    func send(parts: [[UInt8]]) throws {
        lastSent = Moment.now().uptime
        if waiting.isEmpty, try socket.send(parts) == .sent { return }
        waiting.append(parts)
    }

    func flush() throws {
        while let parts = waiting.first, try socket.send(parts) == .sent { waiting.removeFirst() }
    }

    /// - Returns: nil when nothing waits.
    func receive() throws -> [[UInt8]]? {
        switch try socket.receive(Self.limits) {
        case .nothing:
            // While it looked for messages it may have found room, of which the socket then tells no more.
            try flush()
            return nil
        case .message(let message): return message.parts
        case .refused(let refusal, _): throw BenchFault("a message came that is none: \(refusal)")
        }
    }
}

/// Why nothing was measured.
package struct BenchFault: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }

    /// What programs said that failed may be long.
    var firstLine: String { String(description.prefix { $0 != "\n" }) }
}

/// Runs on a thread of its own, as sockets want it.
func onOwnThread<Value: Sendable>(
    _ name: String, _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        LoopThread.start(named: name) { continuation.resume(with: Result { try body() }) }
    }
}

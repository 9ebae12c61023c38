internal import CZeroMQ

/// A ZeroMQ socket. It belongs to the thread that made it; deliberately not `Sendable`.
package final class Socket {
    package enum Kind: Sendable {
        case router, dealer, reply, pair

        var number: Int32 {
            switch self {
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .reply: ZMQ_REP
            case .pair: ZMQ_PAIR
            }
        }
    }

    package let kind: Kind
    private let context: Context
    let handle: UnsafeMutableRawPointer
    /// The one message that parts are received into and sent from: libzmq's struct must not move while it is in use.
    let message = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)

    package init(_ context: Context, _ kind: Kind, _ settings: SocketSettings = SocketSettings()) throws(ZeroMQError) {
        guard let handle = zmq_socket(context.handle, kind.number) else { throw .last(doing: "open a socket") }
        self.kind = kind
        self.context = context
        self.handle = handle
        message.initialize(to: zmq_msg_t())
        try settings.apply(to: self)
    }

    /// Closes the socket; what is queued is sent for as long as it lingers.
    deinit {
        zmq_close(handle)
        message.deallocate()
    }

    /// Listens.
    /// - Returns: the endpoint as it was bound: `tcp://127.0.0.1:*` becomes a real port.
    @discardableResult
    package func bind(_ endpoint: String) throws(ZeroMQError) -> String {
        guard zmq_bind(handle, endpoint) == 0 else { throw .last(doing: "listen on \(endpoint)") }
        var name = [CChar](repeating: 0, count: 512)
        var length = name.count
        guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &name, &length) == 0, length > 0 else {
            throw .last(doing: "ask for the endpoint of \(endpoint)")
        }
        return String(decoding: name.prefix(length - 1).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Connects in the background, and again whenever the connection is lost.
    package func connect(_ endpoint: String) throws(ZeroMQError) {
        guard zmq_connect(handle, endpoint) == 0 else { throw .last(doing: "connect to \(endpoint)") }
    }

    /// Closing will not send what is still queued.
    package func discardOnClose() throws(ZeroMQError) {
        try set(ZMQ_LINGER, Int32(0))
    }

    func set(_ option: Int32, _ value: some FixedWidthInteger) throws(ZeroMQError) {
        let status = withUnsafeBytes(of: value) { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
        guard status == 0 else { throw .badOption(option) }
    }

    func set(_ option: Int32, _ value: [UInt8]) throws(ZeroMQError) {
        let status = value.withUnsafeBytes { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
        guard status == 0 else { throw .badOption(option) }
    }

    func set(_ option: Int32, _ secret: CurveSecret) throws(ZeroMQError) {
        var status: Int32 = -1
        secret.lend { bytes in status = zmq_setsockopt(handle, option, bytes.baseAddress, bytes.count) }
        guard status == 0 else { throw .badOption(option) }
    }
}

extension ZeroMQError {
    fileprivate static func badOption(_ option: Int32) -> ZeroMQError {
        let cause = last(doing: "set option \(option)")
        return cause.code == .badEndpoint
            ? ZeroMQError(.badOption, "libzmq refuses the value of socket option \(option)") : cause
    }
}

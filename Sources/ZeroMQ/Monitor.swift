internal import CZeroMQ
internal import Synchronization

/// Tells what becomes of a socket's connections. It belongs to the thread of the socket it watches.
package final class Monitor {
    package enum Event: Hashable, Sendable {
        /// The handshake is done: the peer is who it should be and let us in.
        case connected
        case disconnected
        /// The server turned our key away.
        case refused
        /// The other side speaks, but not CURVE with the keys that were agreed.
        case handshakeFailed
        /// Nobody listens there now; libzmq tries again.
        case retrying
    }

    package let socket: Socket
    private let watched: Socket
    private static let number = Atomic<UInt64>(0)

    package init(_ context: Context, watching watched: Socket) throws(ZeroMQError) {
        let name = Self.number.wrappingAdd(1, ordering: .relaxed).newValue
        let endpoint = "inproc://monitor-\(name)"
        let events =
            ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED
            | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
            | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
        guard zmq_socket_monitor(watched.handle, endpoint, events) == 0 else {
            throw .last(doing: "watch a socket's connections")
        }
        var settings = SocketSettings()
        settings.immediate = false
        socket = try Socket(context, .pair, settings)
        self.watched = watched
        try socket.connect(endpoint)
    }

    /// Stops watching before its own end of the pair is closed. Else libzmq's I/O thread would wait for ever to tell nobody of the
    /// next event, the watched socket's end included, and every socket of the context with it.
    deinit {
        zmq_socket_monitor(watched.handle, nil, 0)
    }

    /// - Returns: nil when nothing happened.
    package func next() throws(ZeroMQError) -> Event? {
        while case .message(let report) = try socket.receive(ReceiveLimits(parts: 2, bytes: 1024)) {
            guard let head = report.parts.first, head.count == 6 else { continue }
            // Two bytes of event, four of value, as this machine orders them.
            switch Int32(UInt16(head[0]) | UInt16(head[1]) << 8) {
            case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: return .connected
            case ZMQ_EVENT_DISCONNECTED: return .disconnected
            case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return .refused
            case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: return .handshakeFailed
            case ZMQ_EVENT_CONNECT_RETRIED: return .retrying
            default: continue
            }
        }
        return nil
    }
}

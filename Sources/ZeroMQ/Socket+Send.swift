internal import CZeroMQ
internal import Glibc

/// What became of a message that was given to a socket. `sent` is no receipt: it means queued, not received.
package enum SendOutcome: Hashable, Sendable {
    case sent
    /// The queue to this peer is full. The message is still the caller's.
    case wouldBlock
    /// There is no such peer (ROUTER). The message is still the caller's.
    case unreachable
}

extension Socket {
    /// Sends one message of several parts without ever waiting.
    ///
    /// Only the first part can be refused: once it is taken libzmq takes the others too, and a pipe that dies in between
    /// swallows them all.
    /// - Parameter route: the peer, on a ROUTER.
    package func send(_ parts: [[UInt8]], to route: RoutingID? = nil) throws(ZeroMQError) -> SendOutcome {
        if let route {
            guard let outcome = try refusal(of: route.bytes, more: true, first: true) else {
                return try sendRest(parts[...])
            }
            return outcome
        }
        guard let first = parts.first else { return .sent }
        if let outcome = try refusal(of: first, more: parts.count > 1, first: true) { return outcome }
        return try sendRest(parts.dropFirst())
    }

    private func sendRest(_ parts: ArraySlice<[UInt8]>) throws(ZeroMQError) -> SendOutcome {
        for index in parts.indices {
            _ = try refusal(of: parts[index], more: index < parts.endIndex - 1, first: false)
        }
        return .sent
    }

    /// - Returns: nil when the part was taken.
    private func refusal(of part: [UInt8], more: Bool, first: Bool) throws(ZeroMQError) -> SendOutcome? {
        guard zmq_msg_init_size(message, part.count) == 0 else { throw .last(doing: "make room for a message") }
        part.withUnsafeBytes { bytes in
            if let source = bytes.baseAddress { memcpy(zmq_msg_data(message), source, bytes.count) }
        }
        let flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)
        while zmq_msg_send(message, handle, flags) < 0 {
            let errno = zmq_errno()
            if errno == EINTR { continue }
            zmq_msg_close(message)
            switch errno {
            case EAGAIN where first: return .wouldBlock
            case EHOSTUNREACH where first: return .unreachable
            default: throw ZeroMQError(errno: errno, doing: "send")
            }
        }
        return nil
    }
}

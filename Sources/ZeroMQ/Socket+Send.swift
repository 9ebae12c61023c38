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
        guard fill(with: part) else { throw .last(doing: "make room for a message") }
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

    /// Makes `message` of the bytes: short ones are copied, long ones lent until libzmq has sent them.
    private func fill(with part: [UInt8]) -> Bool {
        part.withUnsafeBytes { bytes in
            guard bytes.count >= Self.lentLength, let source = bytes.baseAddress else {
                guard zmq_msg_init_size(message, bytes.count) == 0 else { return false }
                if let source = bytes.baseAddress { memcpy(zmq_msg_data(message), source, bytes.count) }
                return true
            }
            // The elements of a [UInt8] lie in one heap buffer that neither moves nor changes while a second reference to
            // it exists: whoever writes to the array writes to a copy. `LentBytes` is that reference.
            let hint = Unmanaged.passRetained(LentBytes(part))
            let status = zmq_msg_init_data(
                message, UnsafeMutableRawPointer(mutating: source), bytes.count,
                { _, hint in
                    // On whichever thread lets go of the message last.
                    if let hint { Unmanaged<LentBytes>.fromOpaque(hint).release() }
                }, hint.toOpaque())
            if status != 0 { hint.release() }
            return status == 0
        }
    }

    /// Below it a copy costs less than the bookkeeping.
    private static let lentLength = 8 << 10
}

/// Keeps the bytes of a message alive for libzmq, which reads them on its own thread.
private final class LentBytes: Sendable {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }
}

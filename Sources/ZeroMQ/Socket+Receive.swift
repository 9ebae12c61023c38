internal import CZeroMQ
internal import Glibc

/// What a ROUTER calls a connection: a zero byte and four of its own choice.
///
/// A peer may also choose its own name. Nobody here does, and one who does could take another's place, so such messages
/// are refused.
package struct RoutingID: Hashable, Sendable {
    package let number: UInt32

    var bytes: [UInt8] { [0] + withUnsafeBytes(of: number.bigEndian, Array.init) }

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 5, bytes[0] == 0 else { return nil }
        number = bytes[1...].reduce(0) { $0 << 8 | UInt32($1) }
    }
}

package struct ReceiveLimits: Sendable {
    /// Without the routing id.
    package var parts: Int
    /// Bytes of all parts together.
    package var bytes: Int

    package init(parts: Int, bytes: Int) {
        self.parts = parts
        self.bytes = bytes
    }
}

package enum Reception: Sendable {
    case message(Incoming)
    /// A message that broke the limits; it was read to its end and thrown away.
    case refused(Refusal, RoutingID?)
    /// Nothing waits.
    case nothing

    package enum Refusal: Hashable, Sendable {
        case chosenIdentity, tooManyParts, tooManyBytes, unfinished
    }
}

package struct Incoming: Sendable {
    /// The connection, on a ROUTER.
    package var route: RoutingID?
    package var parts: [[UInt8]] = []
    /// The name under which the authenticator admitted the peer; nil on sockets without CURVE.
    package var userID: String?
}

extension Socket {
    /// Takes one whole message, or says that there is none; never waits.
    package func receive(_ limits: ReceiveLimits) throws(ZeroMQError) -> Reception {
        var incoming = Incoming()
        var refusal: Reception.Refusal?
        if kind == .router {
            guard try receivePart() else { return .nothing }
            incoming.route = RoutingID(
                UnsafeRawBufferPointer(start: zmq_msg_data(message), count: zmq_msg_size(message)))
            if incoming.route == nil { refusal = .chosenIdentity }
            guard endPart() else { return .refused(.unfinished, incoming.route) }
        }
        var bytes = 0
        var isFirst = kind != .router
        while true {
            // libzmq hands over a message only when all of it is there, so only the very first part can be missing.
            guard try receivePart() else { return isFirst ? .nothing : .refused(.unfinished, incoming.route) }
            isFirst = false
            let count = zmq_msg_size(message)
            bytes += count
            if incoming.parts.count == limits.parts { refusal = refusal ?? .tooManyParts }
            if bytes > limits.bytes { refusal = refusal ?? .tooManyBytes }
            if refusal == nil {
                // Into the empty array, which all threads share, Swift would write a count of 0.
                incoming.parts.append(
                    count == 0
                        ? []
                        : [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                            if let target = buffer.baseAddress { memcpy(target, zmq_msg_data(message), count) }
                            initialized = count
                        })
            }
            // The routing id has no metadata of its own, and right after a connect another's: ask a frame that travelled.
            if zmq_msg_more(message) == 0, let name = zmq_msg_gets(message, "User-Id") {
                incoming.userID = String(cString: name)
            }
            if !endPart() { break }
        }
        if let refusal { return .refused(refusal, incoming.route) }
        return .message(incoming)
    }

    /// - Returns: false when nothing waits.
    private func receivePart() throws(ZeroMQError) -> Bool {
        zmq_msg_init(message)
        while zmq_msg_recv(message, handle, ZMQ_DONTWAIT) < 0 {
            let errno = zmq_errno()
            if errno == EINTR { continue }
            zmq_msg_close(message)
            if errno == EAGAIN { return false }
            throw ZeroMQError(errno: errno, doing: "receive")
        }
        return true
    }

    /// - Returns: whether more parts of the message follow.
    private func endPart() -> Bool {
        let more = zmq_msg_more(message) != 0
        zmq_msg_close(message)
        return more
    }
}

/// Answers libzmq's question "may this key come in?" (ZAP, RFC 27) for every CURVE server of a context.
///
/// There can be one on a context, and it must be there before the servers listen. It is served by the loop that owns it:
/// handshakes wait until then.
package final class Authenticator {
    package struct Refusal: Hashable, Sendable {
        /// nil when the request itself was not understood.
        package let key: CurveKey?
        /// The peer's address.
        package let address: String
    }

    package static let endpoint = "inproc://zeromq.zap.01"

    package let socket: Socket
    private let limits = ReceiveLimits(parts: 12, bytes: 4096)

    package init(_ context: Context) throws(ZeroMQError) {
        var settings = SocketSettings()
        settings.immediate = false
        socket = try Socket(context, .reply, settings)
        try socket.bind(Self.endpoint)
    }

    /// Answers the requests that wait, 64 at most.
    /// - Parameter isKnown: whether a key belongs to anybody; asked again for every connection.
    /// - Returns: who was turned away.
    package func serve(isKnown: (CurveKey) -> Bool) throws(ZeroMQError) -> [Refusal] {
        var refusals: [Refusal] = []
        for _ in 0..<64 {
            switch try socket.receive(limits) {
            case .nothing:
                return refusals
            case .refused:
                try answer(id: [], status: "500", text: "Malformed request")
                refusals.append(Refusal(key: nil, address: "?"))
            case .message(let request):
                if let refusal = try serve(request.parts, isKnown) { refusals.append(refusal) }
            }
        }
        return refusals
    }

    private func serve(_ parts: [[UInt8]], _ isKnown: (CurveKey) -> Bool) throws(ZeroMQError) -> Refusal? {
        guard let request = AccessRequest(parts: parts) else {
            try answer(id: [], status: "500", text: "Malformed request")
            return Refusal(key: nil, address: "?")
        }
        guard let key = request.key else {
            try answer(id: request.id, status: "400", text: "CURVE only")
            return Refusal(key: nil, address: request.address)
        }
        guard isKnown(key) else {
            try answer(id: request.id, status: "400", text: "Unknown key")
            return Refusal(key: key, address: request.address)
        }
        try answer(id: request.id, status: "200", text: "OK", user: key.hex)
        return nil
    }

    /// A REP socket always has room for the answer to what it just received.
    private func answer(id: [UInt8], status: String, text: String, user: String = "") throws(ZeroMQError) {
        _ = try socket.send([Array("1.0".utf8), id, Array(status.utf8), Array(text.utf8), Array(user.utf8), []])
    }
}

import CZeroMQ
import Foundation
import Glibc
import Sodium
import Testing

@testable import ZeroMQ

/// A key pair as a socket takes it.
struct Keys {
    let pair: X25519KeyPair
    let key: CurveKey

    init() throws {
        let pair = try X25519KeyPair.generate()
        self.pair = pair
        self.key = try #require(CurveKey(pair.publicKey))
    }

    var secret: CurveSecret {
        let pair = pair
        return CurveSecret { use in pair.secret.withUnsafeBytes { use($0) } }
    }
}

let limits = ReceiveLimits(parts: 4, bytes: 4 << 20)

/// A CURVE server on a port of its own, with the authenticator on the same context.
final class Server {
    let context: Context
    let keys: Keys
    let authenticator: Authenticator?
    let router: Socket
    let endpoint: String
    var known: Set<CurveKey> = []
    var refusals: [Authenticator.Refusal] = []

    init(authenticated: Bool = true, _ adjust: (inout SocketSettings) -> Void = { _ in }) throws {
        context = try Context()
        keys = try Keys()
        authenticator = authenticated ? try Authenticator(context) : nil
        var settings = SocketSettings()
        settings.security = .server(keys.secret, domain: "test")
        adjust(&settings)
        router = try Socket(context, .router, settings)
        endpoint = try router.bind("tcp://127.0.0.1:*")
    }

    func client(
        _ keys: Keys, serverKey: CurveKey? = nil, in context: Context? = nil,
        _ adjust: (inout SocketSettings) -> Void = { _ in }
    ) throws -> Socket {
        var settings = SocketSettings()
        settings.immediate = false
        settings.linger = 1000
        settings.security = .client(keys.key, keys.secret, server: serverKey ?? self.keys.key)
        adjust(&settings)
        let socket = try Socket(context ?? Context(), .dealer, settings)
        try socket.connect(endpoint)
        return socket
    }

    /// The next thing that arrives, serving the authenticator meanwhile.
    func next(within seconds: Double = 5) throws -> Reception {
        let end = Date().addingTimeInterval(seconds)
        let wakeUp = try WakeUp()
        while Date() < end {
            let reception = try router.receive(limits)
            if case .nothing = reception {} else { return reception }
            refusals += try authenticator?.serve { known.contains($0) } ?? []
            var poll = PollSet(readable: [router] + (authenticator.map { [$0.socket] } ?? []), wakeUp: wakeUp)
            try poll.wait(timeout: 20)
        }
        return .nothing
    }

    func nextMessage(within seconds: Double = 5) throws -> Incoming? {
        guard case .message(let message) = try next(within: seconds) else { return nil }
        return message
    }
}

func receive(_ socket: Socket, within seconds: Double = 5) throws -> Incoming? {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
        if case .message(let message) = try socket.receive(ReceiveLimits(parts: 8, bytes: 4 << 20)) { return message }
        usleep(2000)
    }
    return nil
}

/// A TCP connection that speaks no ZeroMQ.
final class RawConnection {
    let descriptor: Int32

    init(_ endpoint: String) throws {
        let port = try #require(UInt16(endpoint.split(separator: ":").last ?? ""))
        descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
    }

    func write(_ bytes: [UInt8]) {
        // MSG_NOSIGNAL: the server may hang up on us, which is what the tests want.
        _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    deinit { close(descriptor) }
}

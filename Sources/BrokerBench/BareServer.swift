internal import Fabric
package import Foundation
internal import Trust
internal import ZeroMQ

/// What a broker is held against, as a process of its own: `collafuse bench bare proxy|router`.
package enum BareServer {
    package enum Kind: String, CaseIterable, Sendable {
        /// libzmq's own proxy between a ROUTER and a DEALER.
        case proxy
        /// A ROUTER that sends back what comes.
        case router
    }

    /// Serves for ever. The sockets are a broker's: same options, same key, CURVE on both.
    ///
    /// - Parameter announce: told where it listens, once it does, as a broker tells it.
    package static func run(_ kind: Kind, kit folder: URL, announce: @escaping @Sendable (String, String) -> Void)
        async throws
    {
        let kit = try NodeKit(opening: folder)
        try await onOwnThread(kind.rawValue) {
            let context = try Context(maximumSockets: 64)
            var settings = SocketSettings()
            // Without an authenticator everybody is let in, after the same handshake.
            settings.security = .server(CurveIdentity(kit.curve).secret, domain: "bench")
            let front = try Socket(context, .router, settings)
            let clients = try front.bind("tcp://127.0.0.1:*")
            switch kind {
            case .proxy:
                let back = try Socket(context, .dealer, settings)
                announce(clients, try back.bind("tcp://127.0.0.1:*"))
                try Proxy.run(front, back)
            case .router:
                announce(clients, clients)
                let wakeUp = try WakeUp()
                while true {
                    var poll = PollSet(readable: [front], wakeUp: wakeUp)
                    try poll.wait(timeout: -1)
                    while true {
                        let reception = try front.receive(ReceiveLimits(parts: 4, bytes: 1 << 20))
                        if case .nothing = reception { break }
                        guard case .message(let message) = reception else { continue }
                        _ = try front.send(message.parts, to: message.route)
                    }
                }
            }
        }
    }
}

package import Exchange
package import Wire

/// How a `RouterHub` behaves. Times are in milliseconds unless their name says otherwise.
package struct HubSettings: Sendable {
    /// Where to listen, on both sides: `tcp://127.0.0.1:*` takes a free port.
    package var endpoints: [Side: String]
    /// Longer messages are dropped; a longer frame ends its connection. The state machine's own limits are lower, and
    /// answered in words. A result is more than its job: several tensors for each image.
    package var maximumMessageBytes: [Side: Int] = [.client: 16 << 20, .worker: 64 << 20]
    /// What may wait for one peer beyond its socket's queue. Past it the peer reads too slowly and is dropped. A worker has slots for the
    /// jobs that wait for it, and the broker holds their bytes anyway: after a pause of its disk they come all at once.
    package var maximumOutboxBytes: [Side: Int] = [.client: 32 << 20, .worker: 320 << 20]
    /// Messages and bytes taken in one round: the commit barrier waits for all of them, so a round stays short.
    package var roundMessages = 256
    package var roundBytes = 16 << 20
    /// How often a full socket is tried again. Asking for POLLOUT instead would wake for any other peer with room.
    package var retryInterval: Int64 = 2
    /// A connection that says nothing for so long is forgotten.
    package var idleLimit: Int64 = 300_000
    /// How long an orderly end goes on sending what waits.
    package var linger: Int32 = 1_500

    package init(clients: String, workers: String) {
        endpoints = [.client: clients, .worker: workers]
    }
}

/// What happened at the sockets in one round.
package enum HubEvent: Sendable {
    /// The principal is nil when nobody stands behind the key any more: libzmq let it in when somebody did.
    case message(ConnectionID, Principal?, Frames)
    /// An authenticated peer sent bytes that are no message of the protocol.
    case garbage(ConnectionID, Principal?, WireError)
    /// The connection is gone, or reads too slowly.
    case unreachable(ConnectionID)
}

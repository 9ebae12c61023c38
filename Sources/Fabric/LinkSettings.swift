/// How a `DealerLink` behaves. Times are in milliseconds unless their name says otherwise.
package struct LinkSettings: Sendable {
    /// Messages longer than this, and of more frames than the protocol has, are the broker's fault and are dropped.
    package var maximumMessageBytes = 64 << 20
    /// What may wait for room in the socket. Past it the connection is given up: the machine sends again on the next.
    package var maximumOutboxBytes = 256 << 20
    /// How long an orderly end goes on sending what waits.
    package var linger: Int32 = 1_500
    /// The pause before another socket is opened after one that never got through; it doubles up to the longest.
    package var firstPause: Int64 = 50
    package var longestPause: Int64 = 2_000
    /// Where several brokers are known: how long one that cannot be reached is waited for before the next is tried, after there was a
    /// connection with it, or when nothing answers at all.
    package var patience: Int64 = 2_000

    package init() {}
}

/// What became of the link, for people: the state machine learns what it needs by itself.
package enum LinkReport: Hashable, Sendable {
    case connecting(String)
    /// The broker is who it should be and let us in.
    case connected(String)
    case lost(String)
    /// Nobody listens there; it is tried again.
    case unreachable(String)
    /// The broker does not know our key.
    case refused(String)
    /// The handshake came to no end: what listens there does not hold the key that we expect of the broker, or died.
    case wrongServer(String)
}

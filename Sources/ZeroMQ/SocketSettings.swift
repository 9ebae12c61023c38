internal import CZeroMQ

/// Every option of a socket that matters here; nothing is left to libzmq's defaults. Times are in milliseconds.
package struct SocketSettings: Sendable {
    /// How long a closed socket goes on sending what is queued; 0: not at all. Never −1, which can wait for ever.
    package var linger: Int32 = 0
    /// Messages that may wait for a peer in either direction. Bytes are what memory is made of: libzmq has no limit on
    /// them, so the number is small and the rest waits in an outbox that counts bytes.
    package var sendHighWater: Int32 = 64
    package var receiveHighWater: Int32 = 64
    /// A peer that announces a longer frame is cut off before a byte of it is stored.
    package var maximumFrameLength: Int64 = 64 << 20
    /// Queue only on finished connections, so that what is not sent is in our hands and not in a dead pipe. Its price: when
    /// a connection ends, what it had brought and was not yet read is lost.
    package var immediate = true
    /// ROUTER: sending to a peer that is gone is an error and not silence.
    package var mandatory = true
    package var handshakeTimeout: Int32 = 5_000
    /// Connections that wait until libzmq takes them. What comes beyond is dropped, and tries again after seconds; those that wait are to
    /// have their turn within `handshakeTimeout`.
    package var backlog: Int32 = 1_024
    /// For hosts that do not even refuse a connection.
    package var connectTimeout: Int32 = 5_000
    /// The first wait between two tries to connect, and the longest; they double in between.
    package var reconnectInterval: Int32 = 100
    package var reconnectMaximum: Int32 = 2_000
    /// For a host that is unplugged: seconds until the first probe, between probes, and their number. What was sent is waited for as long.
    ///
    /// The kernel's, and not libzmq's own PING: that takes up to three timers for each connection, and to cancel one libzmq goes through
    /// all of them, so that a broker of ten thousand clients did nothing else.
    package var keepalive: (idle: Int32, interval: Int32, count: Int32) = (30, 10, 3)
    package var security = Security.none

    package init() {}

    func apply(to socket: borrowing Socket) throws(ZeroMQError) {
        try socket.set(ZMQ_LINGER, linger)
        try socket.set(ZMQ_SNDHWM, sendHighWater)
        try socket.set(ZMQ_RCVHWM, receiveHighWater)
        try socket.set(ZMQ_MAXMSGSIZE, maximumFrameLength)
        try socket.set(ZMQ_IMMEDIATE, Int32(immediate ? 1 : 0))
        if socket.kind == .router {
            try socket.set(ZMQ_ROUTER_MANDATORY, Int32(mandatory ? 1 : 0))
        }
        try socket.set(ZMQ_HANDSHAKE_IVL, handshakeTimeout)
        try socket.set(ZMQ_BACKLOG, backlog)
        try socket.set(ZMQ_CONNECT_TIMEOUT, connectTimeout)
        try socket.set(ZMQ_HEARTBEAT_IVL, Int32(0))
        try socket.set(ZMQ_RECONNECT_IVL, reconnectInterval)
        try socket.set(ZMQ_RECONNECT_IVL_MAX, reconnectMaximum)
        try socket.set(ZMQ_TCP_KEEPALIVE, Int32(1))
        try socket.set(ZMQ_TCP_KEEPALIVE_IDLE, keepalive.idle)
        try socket.set(ZMQ_TCP_KEEPALIVE_INTVL, keepalive.interval)
        try socket.set(ZMQ_TCP_KEEPALIVE_CNT, keepalive.count)
        try socket.set(ZMQ_TCP_MAXRT, 1_000 * (keepalive.idle + keepalive.interval * keepalive.count))
        switch security {
        case .none:
            break
        case .server(let secret, let domain):
            try socket.set(ZMQ_CURVE_SERVER, Int32(1))
            try socket.set(ZMQ_CURVE_SECRETKEY, secret)
            try socket.set(ZMQ_ZAP_DOMAIN, Array(domain.utf8))
        case .client(let key, let secret, let server):
            try socket.set(ZMQ_CURVE_PUBLICKEY, key.bytes)
            try socket.set(ZMQ_CURVE_SECRETKEY, secret)
            try socket.set(ZMQ_CURVE_SERVERKEY, server.bytes)
        }
    }
}

internal import CZeroMQ
internal import Glibc

/// libzmq's own proxy, the least that can stand between two sockets: what a broker's speed is held against.
package enum Proxy {
    /// Hands messages over in both directions; returns only when the context ends, or by an error. The sockets are used by this thread.
    package static func run(_ front: Socket, _ back: Socket) throws(ZeroMQError) {
        while true {
            // ETERM, or EINTR: a signal came.
            _ = zmq_proxy(front.handle, back.handle, nil)
            let errno = zmq_errno()
            guard errno == EINTR else { throw ZeroMQError(errno: errno, doing: "run a proxy") }
        }
    }
}

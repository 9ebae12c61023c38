internal import CZeroMQ
internal import Glibc

/// What libzmq refused to do, in words that say what to do about it.
package struct ZeroMQError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        case addressInUse, addressNotAvailable, permissionDenied, badEndpoint, unsupported, badOption
        case tooManySockets, outOfMemory, terminated, wrongState
        /// An errno that this module does not expect.
        case other(Int32)
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    /// Equality is on the code: messages are for people.
    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }
    package func hash(into hasher: inout Hasher) { hasher.combine(code) }

    /// - Parameter errno: as it was right after the call that failed.
    init(errno: Int32, doing what: String) {
        switch errno {
        case EADDRINUSE:
            self.init(
                .addressInUse,
                "\(what): the address is in use; stop the process that listens there or take another port")
        case EADDRNOTAVAIL, ENODEV:
            self.init(
                .addressNotAvailable, "\(what): this machine has no such address or interface; check the host part")
        case EACCES, EPERM:
            self.init(
                .permissionDenied,
                "\(what): not permitted; ports below 1024 need a right of their own, take a higher one")
        case EINVAL:
            self.init(
                .badEndpoint, "\(what): not a valid endpoint or value; an endpoint looks like tcp://127.0.0.1:5555")
        case EPROTONOSUPPORT, ENOCOMPATPROTO:
            self.init(.unsupported, "\(what): this transport is not supported; use tcp://")
        case EMFILE, ENFILE:
            self.init(.tooManySockets, "\(what): too many open files or sockets; raise the limit (ulimit -n)")
        case ENOMEM:
            self.init(.outOfMemory, "\(what): out of memory")
        case ETERM, ENOTSOCK, EMTHREAD:
            self.init(.terminated, "\(what): the socket or its context is already closed")
        case EFSM:
            self.init(.wrongState, "\(what): not in this state of the socket")
        default:
            self.init(.other(errno), "\(what): \(String(cString: zmq_strerror(errno)))")
        }
    }

    static func last(doing what: @autoclosure () -> String) -> ZeroMQError {
        let errno = zmq_errno()
        return ZeroMQError(errno: errno, doing: what())
    }
}

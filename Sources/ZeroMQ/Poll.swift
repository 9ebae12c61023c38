internal import CZeroMQ
internal import Glibc

/// What one thread waits for: its sockets and its wake-up.
package struct PollSet {
    private var items: [zmq_pollitem_t] = []
    // Kept so that no handle in `items` outlives its socket.
    private let sockets: [Socket]
    private let wakeUp: WakeUp

    /// - Parameters:
    ///   - readable: the sockets to read from, asked for by their index.
    ///   - writable: a socket to wait for room on, for as long as something waits to be sent. Never a ROUTER: there it
    ///     means "any peer has room" and the loop would spin.
    package init(readable: [Socket], writable: Socket? = nil, wakeUp: WakeUp) {
        sockets = readable
        self.wakeUp = wakeUp
        for socket in readable {
            let events = socket === writable ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN
            items.append(zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(events), revents: 0))
        }
        items.append(zmq_pollitem_t(socket: nil, fd: wakeUp.descriptor, events: Int16(ZMQ_POLLIN), revents: 0))
    }

    /// Waits until something can be read or `timeout` milliseconds are over; for ever when it is negative.
    /// A signal ends the wait early. The wake-up is heard: look at the inbox after every wait.
    package mutating func wait(timeout: Int) throws(ZeroMQError) {
        if zmq_poll(&items, Int32(items.count), timeout) >= 0 {
            if items[items.count - 1].revents != 0 { wakeUp.clear() }
            return
        }
        let errno = zmq_errno()
        guard errno == EINTR else { throw ZeroMQError(errno: errno, doing: "wait for messages") }
        for index in items.indices { items[index].revents = 0 }
    }

    package func isReadable(_ index: Int) -> Bool { items[index].revents & Int16(ZMQ_POLLIN) != 0 }
}

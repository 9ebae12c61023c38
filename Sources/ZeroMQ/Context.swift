internal import CZeroMQ

/// libzmq's I/O threads and the names of its in-process endpoints. One for a process.
///
/// It ends with its last reference; sockets hold one, so it never ends under them. The end waits for what the sockets
/// still linger on.
package final class Context: Sendable {
    // A context is the one thing of libzmq that any thread may use at any time.
    nonisolated(unsafe) let handle: UnsafeMutableRawPointer

    /// - Parameter ioThreads: about one for every gigabyte a second, fewer with CURVE; 1 is right nearly always.
    package init(ioThreads: Int32 = 1, maximumSockets: Int32 = 1023) throws(ZeroMQError) {
        guard let handle = zmq_ctx_new() else { throw .last(doing: "open a ZeroMQ context") }
        self.handle = handle
        guard zmq_ctx_set(handle, ZMQ_IO_THREADS, ioThreads) == 0,
            zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, maximumSockets) == 0
        else { throw .last(doing: "set up a ZeroMQ context") }
    }

    deinit {
        // EINTR: a signal came while it waited. EFAULT: no context, which cannot be.
        while zmq_ctx_term(handle) != 0, zmq_errno() == CZeroMQ.EINTR {}
    }
}

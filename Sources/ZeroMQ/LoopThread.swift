internal import Foundation

/// A thread of its own for a loop that waits in `zmq_poll`: on the cooperative pool it would starve every `await`.
package enum LoopThread {
    /// - Parameters:
    ///   - name: as `top` and a debugger show it; 15 bytes at most are seen.
    ///   - body: makes its sockets itself, so that they never belong to another thread.
    package static func start(named name: String, body: @escaping @Sendable () -> Void) {
        let thread = Thread {
            // Only a thread itself can make its name known to the system.
            Thread.current.name = String(name.prefix(15))
            body()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }
}

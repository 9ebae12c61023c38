internal import Glibc
internal import Synchronization

/// Something to poll beside sockets, by which other threads say "look at your inbox".
package final class WakeUp: Sendable {
    let descriptor: Int32
    private let writing: Int32

    package init() throws(ZeroMQError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ZeroMQError(errno: errno, doing: "open a pipe to wake a loop") }
        descriptor = ends[0]
        writing = ends[1]
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        close(descriptor)
        close(writing)
    }

    package func signal() {
        var one: UInt8 = 1
        // EAGAIN: the pipe is full, so the loop is awake anyway.
        _ = write(writing, &one, 1)
    }

    /// What `PollSet.wait` does for whoever waits with it.
    func clear() {
        var bytes: UInt64 = 0
        // EAGAIN: nobody signalled.
        while read(descriptor, &bytes, 8) == 8 {}
    }
}

/// Where other threads leave what the owner of a socket set shall do.
package final class Inbox<Item: Sendable>: Sendable {
    package let wakeUp: WakeUp
    private let items = Mutex<[Item]>([])

    package init() throws(ZeroMQError) {
        wakeUp = try WakeUp()
    }

    /// From any thread.
    package func put(_ item: Item) {
        let wasEmpty = items.withLock { items in
            items.append(item)
            return items.count == 1
        }
        if wasEmpty { wakeUp.signal() }
    }

    /// Everything that waits, in order. From the owner's thread, after each wait with `wakeUp`: an item that is put
    /// meanwhile wakes the next one.
    package func takeAll() -> [Item] {
        items.withLock { items in
            let taken = items
            items = []
            return taken
        }
    }
}

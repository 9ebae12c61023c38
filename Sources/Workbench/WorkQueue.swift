import Foundation
import Synchronization

/// Where other threads leave what an engine's thread is to do.
///
/// An engine computes in long calls, so it has a thread of its own, and this is the only thing it shares with the link's.
package final class WorkQueue<Item: Sendable>: Sendable {
    private let items = Mutex<[Item]>([])
    private let filled = DispatchSemaphore(value: 0)
    /// Uptime in nanoseconds.
    private let lastTaken = Atomic(DispatchTime.now().uptimeNanoseconds)

    package init() {}

    package func put(_ item: Item) {
        items.withLock { $0.append(item) }
        filled.signal()
    }

    /// Everything that has come in, oldest first, without waiting.
    package func takeAll() -> [Item] {
        lastTaken.store(DispatchTime.now().uptimeNanoseconds, ordering: .relaxed)
        return items.withLock { items in
            defer { items.removeAll() }
            return items
        }
    }

    /// Waits until something comes in, or until `seconds` are over: then it may return nothing.
    package func waitAndTakeAll(atMost seconds: Double) -> [Item] {
        // Signals left by items that `takeAll` took end a wait early; the engine's loop comes back.
        _ = filled.wait(timeout: .now() + seconds)
        return takeAll()
    }

    /// How long ago somebody looked for items.
    package var secondsUnread: Double {
        let now = DispatchTime.now().uptimeNanoseconds, last = lastTaken.load(ordering: .relaxed)
        return now < last ? 0 : Double(now - last) / 1e9
    }
}

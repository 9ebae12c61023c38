internal import DequeModule

/// A queue of jobs that may be taken out of the middle: O(1), by leaving them in and skipping them later.
struct HandleQueue: Sendable {
    private var items: Deque<JobHandle> = []
    /// How many of the items are still wanted.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ handle: JobHandle) {
        items.append(handle)
        count += 1
    }

    mutating func prepend(_ handle: JobHandle) {
        items.prepend(handle)
        count += 1
    }

    mutating func popFirst(where wanted: (JobHandle) -> Bool) -> JobHandle? {
        while let handle = items.popFirst() {
            guard wanted(handle) else { continue }
            count -= 1
            return handle
        }
        return nil
    }

    /// The first that is wanted, which stays in.
    mutating func first(where wanted: (JobHandle) -> Bool) -> JobHandle? {
        while let handle = items.first {
            if wanted(handle) { return handle }
            items.removeFirst()
        }
        return nil
    }

    /// Says that one item is not `wanted` any more. Once they are the majority the queue is swept, so it stays bounded.
    mutating func removed(where wanted: (JobHandle) -> Bool) {
        count -= 1
        if items.count > 2 * count + 16 { items.removeAll { !wanted($0) } }
    }
}

/// A binary heap of deadlines: O(log n) to add and to take.
///
/// Deadlines are not moved when they are put off: whoever takes one that has come too early adds it again for the later
/// time. So a session or a lease that is prolonged at every message costs nothing until its old deadline passes.
struct Deadlines<Element: Sendable>: Sendable {
    private var heap: [(due: Int64, element: Element)] = []

    var next: Int64? { heap.first?.due }
    var count: Int { heap.count }

    mutating func add(_ element: Element, due: Int64) {
        var child = heap.count
        heap.append((due, element))
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].due < heap[parent].due else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// The earliest element whose deadline is not after `time`.
    mutating func take(until time: Int64) -> Element? {
        guard let first = heap.first, first.due <= time else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink(0)
        }
        return first.element
    }

    private mutating func sink(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in (2 * parent + 1)...(2 * parent + 2)
            where child < heap.count && heap[child].due < heap[least].due {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}

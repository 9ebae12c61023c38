/// A binary heap of deadlines: O(log n) to add and to take. Equal deadlines come in the order in which they were added.
///
/// Deadlines are not moved when they are put off: whoever takes one that has come too early adds it again for the later
/// time. So a session or a lease that is prolonged at every message costs nothing until its old deadline passes.
package struct Deadlines<Element: Sendable>: Sendable {
    private struct Node {
        var due: Int64
        var arrival: UInt64
        var element: Element
    }

    private var heap: [Node] = []
    private var arrivals: UInt64 = 0

    package init() {}

    package var next: Int64? { heap.first?.due }
    var count: Int { heap.count }

    package mutating func add(_ element: Element, due: Int64) {
        var child = heap.count
        arrivals += 1
        heap.append(Node(due: due, arrival: arrivals, element: element))
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// The earliest element whose deadline is not after `time`.
    package mutating func take(until time: Int64) -> Element? {
        guard let first = heap.first, first.due <= time else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink(0)
        }
        return first.element
    }

    private func precedes(_ a: Node, _ b: Node) -> Bool {
        a.due == b.due ? a.arrival < b.arrival : a.due < b.due
    }

    private mutating func sink(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in (2 * parent + 1)...(2 * parent + 2)
            where child < heap.count && precedes(heap[child], heap[least]) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}

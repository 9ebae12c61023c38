/// What is to happen, by (time, sequence): of two events at one time the one that was scheduled first comes first, so a seed
/// has one history. O(log n).
struct EventQueue<Event> {
    /// Small and plain: these move up and down the heap, the events stay where they are.
    private struct Entry {
        let time: Int64
        let sequence: UInt64
        /// Its event's.
        let place: Int

        func precedes(_ other: Entry) -> Bool {
            time == other.time ? sequence < other.sequence : time < other.time
        }
    }

    private var heap: [Entry] = []
    private var events: [Event?] = []
    /// Places that are free again.
    private var vacant: [Int] = []
    private var sequence: UInt64 = 0

    var nextTime: Int64? { heap.first?.time }

    mutating func add(_ event: Event, at time: Int64) {
        sequence += 1
        let place = vacant.popLast() ?? events.count
        if place == events.count { events.append(event) } else { events[place] = event }
        let entry = Entry(time: time, sequence: sequence, place: place)
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entry.precedes(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    mutating func take() -> (time: Int64, event: Event)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty { sink(last) }
        defer { vacant.append(first.place) }
        guard let event = events[first.place].take() else { return nil }
        return (first.time, event)
    }

    /// Puts it where the first was, and down from there.
    private mutating func sink(_ entry: Entry) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(entry) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
    }
}

/// A binary heap of small integers by rank whose ranks can be changed: O(log n) for everything.
///
/// Equal ranks come out in the order in which they were put in, so that what is decided does not hang on memory layout.
struct RankedHeap: Sendable {
    private struct Node {
        var id: Int
        var rank: Double
        var arrival: UInt64
    }

    private var heap: [Node] = []
    private var position: [Int: Int] = [:]
    private var arrivals: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }
    var first: (id: Int, rank: Double)? { heap.first.map { ($0.id, $0.rank) } }

    func contains(_ id: Int) -> Bool { position[id] != nil }
    func rank(of id: Int) -> Double? { position[id].map { heap[$0].rank } }

    /// Puts `id` in or gives it another rank; either way it stands behind those of the same rank.
    mutating func set(_ id: Int, rank: Double) {
        arrivals += 1
        let node = Node(id: id, rank: rank, arrival: arrivals)
        if let place = position[id] {
            heap[place] = node
            sink(rise(place))
        } else {
            heap.append(node)
            position[id] = heap.count - 1
            _ = rise(heap.count - 1)
        }
    }

    mutating func remove(_ id: Int) {
        guard let place = position.removeValue(forKey: id) else { return }
        let last = heap.removeLast()
        guard place < heap.count else { return }
        heap[place] = last
        position[last.id] = place
        sink(rise(place))
    }

    private func precedes(_ a: Node, _ b: Node) -> Bool {
        a.rank == b.rank ? a.arrival < b.arrival : a.rank < b.rank
    }

    private mutating func rise(_ start: Int) -> Int {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(heap[child], heap[parent]) else { break }
            exchange(child, parent)
            child = parent
        }
        return child
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
            exchange(parent, least)
            parent = least
        }
    }

    private mutating func exchange(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        position[heap[a].id] = a
        position[heap[b].id] = b
    }
}

internal import DequeModule

/// Messages for one peer that its socket has no room for: in order, and counted in bytes.
struct Outbox {
    private var messages: Deque<[[UInt8]]> = []
    private(set) var bytes = 0

    var isEmpty: Bool { messages.isEmpty }
    var first: [[UInt8]]? { messages.first }

    mutating func append(_ parts: [[UInt8]]) {
        bytes += Self.size(of: parts)
        messages.append(parts)
    }

    mutating func removeFirst() {
        guard let parts = messages.popFirst() else { return }
        bytes -= Self.size(of: parts)
    }

    mutating func removeAll() {
        messages = []
        bytes = 0
    }

    static func size(of parts: [[UInt8]]) -> Int { parts.reduce(0) { $0 + $1.count } }
}

internal import Exchange
internal import Wire

extension JournalEntry {
    /// Kind, client, job, and two fields with their lengths.
    var bytes: [UInt8] {
        let (kind, first, second): (UInt8, [UInt8], [UInt8]) =
            switch self {
            case .accepted(_, let envelope, let sealed): (1, envelope, sealed)
            case .attempted(_, let attempt, let epoch): (2, UInt64(attempt).bytes(4), epoch.bytes(8))
            case .finished(_, let header, let sealed, let keptUntil):
                (3, header, UInt64(bitPattern: keptUntil).bytes(8) + sealed)
            case .acknowledged: (4, [], [])
            case .ended(_, let code): (5, UInt64(code.rawValue).bytes(4), [])
            case .forgotten: (6, [], [])
            case .suspected(_, let crashes): (7, UInt64(crashes).bytes(4), [])
            }
        return [kind] + key.client.bytes + key.job.bytes + UInt64(first.count).bytes(4) + first
            + UInt64(second.count).bytes(4) + second
    }
}

/// Reads what `JournalEntry.bytes` wrote.
struct EntryReader {
    let bytes: [UInt8]
    private var place = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// - Returns: nil at the end, and at what is no entry.
    mutating func next() -> JournalEntry? {
        guard let kind = take(1)?.first, let client = take(16).flatMap({ ClientID($0) }),
            let job = take(16).flatMap({ JobID($0) }), let first = field(), let second = field()
        else { return nil }
        let key = JobKey(client: client, job: job)
        switch kind {
        case 1: return .accepted(key, envelope: first, sealed: second)
        case 2 where first.count == 4 && second.count == 8:
            return .attempted(
                key, attempt: UInt32(first.number(at: 0, length: 4)), epoch: second.number(at: 0, length: 8))
        case 3 where second.count >= 8:
            return .finished(
                key, header: first, sealed: Array(second.dropFirst(8)),
                keptUntil: Int64(bitPattern: second.number(at: 0, length: 8)))
        case 4: return .acknowledged(key)
        case 5 where first.count == 4:
            return WireCode(rawValue: Int(first.number(at: 0, length: 4))).map { .ended(key, code: $0) }
        case 6: return .forgotten(key)
        case 7 where first.count == 4: return .suspected(key, crashes: Int(first.number(at: 0, length: 4)))
        default: return nil
        }
    }

    private mutating func field() -> [UInt8]? {
        guard let count = take(4)?.number(at: 0, length: 4) else { return nil }
        return take(Int(count))
    }

    private mutating func take(_ count: Int) -> [UInt8]? {
        guard place + count <= bytes.count else { return nil }
        defer { place += count }
        return Array(bytes[place..<(place + count)])
    }
}

/// Fewer entries that add up to the same state: what a journal may leave out is left out.
struct Compaction {
    private struct Generation {
        var entries: [JournalEntry]
        var isOver = false
    }

    private(set) var entries: [JournalEntry] = []

    init(_ all: [JournalEntry]) {
        var jobs: [JobKey: [Generation]] = [:]
        var order: [JobKey] = []
        for entry in all {
            let key = entry.key
            switch entry {
            case .forgotten: jobs[key] = nil
            case .accepted:
                var generations = jobs[key] ?? []
                if generations.isEmpty { order.append(key) }
                if let last = generations.indices.last, !generations[last].isOver {
                    generations[last].entries.append(entry)  // a dead letter, replayed
                } else {
                    generations.append(Generation(entries: [entry]))
                }
                jobs[key] = generations
            case .acknowledged, .ended:
                guard let last = jobs[key]?.indices.last else { continue }
                jobs[key]?[last].entries.append(entry)
                if case .ended(_, .deadLetter) = entry { continue }
                jobs[key]?[last].isOver = true
                if let generation = jobs[key]?[last] { jobs[key]?[last] = Self.withoutPayload(generation) }
            case .attempted, .suspected, .finished:
                guard let last = jobs[key]?.indices.last else { continue }
                jobs[key]?[last].entries.append(entry)
            }
        }
        var isDone: Set<JobKey> = []
        for key in order where isDone.insert(key).inserted {
            entries += (jobs[key] ?? []).flatMap(\.entries)
        }
    }

    private static func withoutPayload(_ generation: Generation) -> Generation {
        var generation = generation
        generation.entries = generation.entries.compactMap { entry -> JournalEntry? in
            switch entry {
            case .accepted(let key, let envelope, _): .accepted(key, envelope: envelope, sealed: [])
            case .finished: nil
            default: entry
            }
        }
        return generation
    }
}

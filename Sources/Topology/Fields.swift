/// Reads the keys of one mapping, each once, and refuses those that nobody asked for.
///
///     try fields(entry, of: "run") { fields throws(TopologyError) in
///         Run(name: try fields.text("name"), timesteps: try fields.integer("timesteps", in: 2...10_000, default: 1000))
///     }
struct Fields {
    /// What the mapping is called in messages: "run", "workers[2]".
    let title: String
    let place: String
    private var pairs: [(key: String, place: String, value: Entry)]
    private var known: [String] = []

    init(_ entry: Entry, title: String) throws(TopologyError) {
        guard case .mapping(let pairs) = entry.content else {
            throw TopologyError(.wrongType, at: entry.place, "'\(title)' is \(entry.kind): it must be keys with values")
        }
        self.title = title
        self.place = entry.place
        self.pairs = pairs
    }

    /// The value of a key, and from now on the key is known.
    mutating func take(_ key: String) -> Entry? {
        known.append(key)
        guard let index = pairs.firstIndex(where: { $0.key == key }) else { return nil }
        return pairs.remove(at: index).value
    }

    mutating func require(_ key: String) throws(TopologyError) -> Entry {
        if let entry = take(key) { return entry }
        // A misspelt key is the likelier cause, and the better message.
        if let misspelt = pairs.first(where: { editDistance($0.key, key) <= 2 }) {
            throw unknown(misspelt)
        }
        throw TopologyError(.missingKey, at: place, "'\(title)' needs '\(key)'")
    }

    /// To be called last: what is left over is a mistake.
    func finish() throws(TopologyError) {
        if let first = pairs.first { throw unknown(first) }
    }

    private func unknown(_ pair: (key: String, place: String, value: Entry)) -> TopologyError {
        TopologyError(
            .unknownKey, at: pair.place, "unknown key '\(pair.key)' in '\(title)'" + closest(to: pair.key, among: known)
        )
    }
}

/// Reads a mapping with `body` and makes sure that it used every key.
func fields<Value>(
    _ entry: Entry, of title: String, _ body: (inout Fields) throws(TopologyError) -> Value
) throws(TopologyError) -> Value {
    var fields = try Fields(entry, title: title)
    let value = try body(&fields)
    try fields.finish()
    return value
}

extension Fields {
    mutating func text(_ key: String) throws(TopologyError) -> String {
        let entry = try require(key)
        return try entry.text(of: key)
    }

    mutating func text(_ key: String, default fallback: String) throws(TopologyError) -> String {
        guard let entry = take(key) else { return fallback }
        return try entry.text(of: key)
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(TopologyError) -> Int {
        let entry = try require(key)
        return try entry.integer(of: key, in: range)
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>, default fallback: Int) throws(TopologyError) -> Int
    {
        guard let entry = take(key) else { return fallback }
        return try entry.integer(of: key, in: range)
    }

    mutating func number(_ key: String, in range: ClosedRange<Double>, default fallback: Double) throws(TopologyError)
        -> Double
    {
        guard let entry = take(key) else { return fallback }
        return try entry.number(of: key, in: range)
    }

    mutating func number(_ key: String, in range: ClosedRange<Double>) throws(TopologyError) -> Double? {
        guard let entry = take(key) else { return nil }
        return try entry.number(of: key, in: range)
    }

    /// One of the words of an enumeration.
    mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, default fallback: Choice
    ) throws(TopologyError) -> Choice {
        guard let entry = take(key) else { return fallback }
        return try entry.choice(of: key)
    }

    mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(_ key: String) throws(TopologyError) -> Choice
    {
        let entry = try require(key)
        return try entry.choice(of: key)
    }
}

extension Entry {
    func text(of key: String) throws(TopologyError) -> String {
        guard case .scalar(let text) = content else {
            throw TopologyError(.wrongType, at: place, "'\(key)' is \(kind): it must be a single value")
        }
        return text
    }

    func integer(of key: String, in range: ClosedRange<Int>) throws(TopologyError) -> Int {
        let text = try text(of: key)
        guard let value = Int(text) else {
            throw TopologyError(.wrongType, at: place, "'\(key)' is \(kind): it must be a whole number")
        }
        guard range.contains(value) else {
            throw TopologyError(
                .outOfRange, at: place, "'\(key)' is \(value): it must be \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func number(of key: String, in range: ClosedRange<Double>) throws(TopologyError) -> Double {
        let text = try text(of: key)
        guard let value = Double(text) else {
            throw TopologyError(.wrongType, at: place, "'\(key)' is \(kind): it must be a number")
        }
        guard range.contains(value) else {
            throw TopologyError(
                .outOfRange, at: place, "'\(key)' is \(text): it must be \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func choice<Choice: RawRepresentable<String> & CaseIterable>(of key: String) throws(TopologyError) -> Choice {
        let text = try text(of: key)
        guard let choice = Choice(rawValue: text) else {
            let words = Choice.allCases.map(\.rawValue)
            throw TopologyError(.outOfRange, at: place, "'\(key)' is '\(text)'" + closest(to: text, among: words))
        }
        return choice
    }

    func list(of key: String) throws(TopologyError) -> [Entry] {
        guard case .list(let list) = content else {
            throw TopologyError(
                .wrongType, at: place, "'\(key)' is \(kind): it must be a list ([a, b] or lines with '- ')")
        }
        return list
    }
}

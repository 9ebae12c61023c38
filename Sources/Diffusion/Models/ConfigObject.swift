internal import Foundation

/// A JSON object that is read key by key, with errors that name the file and the key at fault.
struct ConfigObject {
    private let name: String
    let values: [String: JSONValue]

    /// - Parameter name: what the object is called in errors.
    init(_ json: String, name: String) throws(DiffusionError) {
        guard case .object(let values)? = try? JSONValue(python: json) else {
            throw DiffusionError(.badConfig, "\(name) is not a JSON object")
        }
        self.name = name
        self.values = values
    }

    func fault(_ key: String, _ what: String) -> DiffusionError {
        DiffusionError(.badConfig, "\(name): key '\(key)': \(what)")
    }

    func isNull(_ key: String) -> Bool { values[key] == .null }

    /// Whether the key is there and not null.
    func isPresent(_ key: String) -> Bool { values[key] ?? .null != .null }

    /// - Throws: for a key that is neither known nor null. Keys that begin with _ are notes, diffusers' or our own.
    func allow(_ known: Set<String>) throws(DiffusionError) {
        for key in values.keys.sorted() where !known.contains(key) && !key.hasPrefix("_") && !isNull(key) {
            throw fault(
                key, "it is not known here, and may change what the model is" + suggestion(for: key, among: known))
        }
    }

    /// - Throws: when the key is there, not null, and none of these.
    func require(_ key: String, oneOf allowed: [String]) throws(DiffusionError) {
        if let value = try string(key), !allowed.contains(value) {
            throw fault(key, "only \(allowed.joined(separator: ", ")) is supported here, not \(value)")
        }
    }

    func string(_ key: String) throws(DiffusionError) -> String? {
        guard isPresent(key) else { return nil }
        guard case .text(let value)? = values[key] else { throw fault(key, "text is wanted, not \(describe(key))") }
        return value
    }

    func number(_ key: String) throws(DiffusionError) -> Double? {
        switch values[key] {
        case nil, .null: return nil
        case .integer(let value): return Double(value)
        case .number(let value): return value
        default: throw fault(key, "a number is wanted, not \(describe(key))")
        }
    }

    func integer(_ key: String, from least: Int = 1) throws(DiffusionError) -> Int? {
        guard let value = try number(key) else { return nil }
        guard let whole = Int(exactly: value), (least...Self.greatest).contains(whole) else {
            throw fault(key, "a whole number in \(least)…\(Self.greatest) is wanted, not \(describe(key))")
        }
        return whole
    }

    func flag(_ key: String) throws(DiffusionError) -> Bool? {
        guard isPresent(key) else { return nil }
        guard case .flag(let value)? = values[key] else {
            throw fault(key, "true or false is wanted, not \(describe(key))")
        }
        return value
    }

    func numbers(_ key: String) throws(DiffusionError) -> [Double]? {
        guard isPresent(key) else { return nil }
        guard case .list(let list)? = values[key] else {
            throw fault(key, "a list of numbers is wanted, not \(describe(key))")
        }
        return try list.map { (entry: JSONValue) throws(DiffusionError) -> Double in
            switch entry {
            case .integer(let value): return Double(value)
            case .number(let value): return value
            default: throw fault(key, "numbers are wanted, not \(describe(key))")
            }
        }
    }

    /// A list of whole numbers above 0, or one such number.
    func integers(_ key: String) throws(DiffusionError) -> [Int]? {
        let entries: [JSONValue]
        switch values[key] {
        case nil, .null: return nil
        case .list(let list): entries = list
        case .some(let value): entries = [value]
        }
        return try entries.map { (entry: JSONValue) throws(DiffusionError) -> Int in
            guard case .integer(let value) = entry, (1...Self.greatest).contains(value) else {
                throw fault(key, "whole numbers in 1…\(Self.greatest) are wanted, not \(describe(key))")
            }
            return value
        }
    }

    /// A whole number above 0, or a list that says the same one for every block.
    func sameInteger(_ key: String) throws(DiffusionError) -> Int? {
        guard let numbers = try integers(key) else { return nil }
        guard let first = numbers.first, Set(numbers).count == 1 else {
            throw fault(key, "only the same number for all blocks is supported here")
        }
        return first
    }

    /// True or false, or a list that says the same for every block.
    func sameFlag(_ key: String) throws(DiffusionError) -> Bool? {
        guard case .list(let list)? = values[key] else { return try flag(key) }
        guard case .flag(let first)? = list.first, Set(list).count == 1 else {
            throw fault(key, "only the same for all blocks is supported here")
        }
        return first
    }

    func choice<Choice: RawRepresentable<String> & CaseIterable>(_ key: String) throws(DiffusionError) -> Choice? {
        guard let value = try string(key) else { return nil }
        return try choice(of: value, key)
    }

    /// - Parameter prefix: what old configs write before a name.
    func choices<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, dropping prefix: String = ""
    ) throws(DiffusionError) -> [Choice]? {
        guard isPresent(key) else { return nil }
        guard case .list(let list)? = values[key] else {
            throw fault(key, "a list of names is wanted, not \(describe(key))")
        }
        return try list.map { (entry: JSONValue) throws(DiffusionError) -> Choice in
            guard case .text(let value) = entry else {
                throw fault(key, "a list of names is wanted, not \(describe(key))")
            }
            return try choice(of: value.hasPrefix(prefix) ? String(value.dropFirst(prefix.count)) : value, key)
        }
    }

    /// Neither sizes nor counts of a model come near it.
    private static let greatest = 1_000_000

    /// - Throws: with the closest of the names that are known.
    func choice<Choice: RawRepresentable<String> & CaseIterable>(
        of value: String, _ key: String
    ) throws(DiffusionError) -> Choice {
        guard let choice = Choice(rawValue: value) else {
            let names = Set(Choice.allCases.map(\.rawValue))
            throw fault(key, "'\(value)' is not supported here" + suggestion(for: value, among: names))
        }
        return choice
    }

    private func suggestion(for name: String, among known: Set<String>) -> String {
        closest(to: name, among: known).map { "; the closest that is: '\($0)'" } ?? ""
    }

    /// Its value, cut short.
    func describe(_ key: String) -> String {
        let text = (values[key]?.description ?? "nothing").split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return text.count > 60 ? text.prefix(60) + "…" : text
    }
}

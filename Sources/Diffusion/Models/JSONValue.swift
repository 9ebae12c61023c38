internal import Foundation

/// Any JSON.
enum JSONValue: Hashable, Sendable, Codable, CustomStringConvertible {
    case null
    case flag(Bool)
    case integer(Int)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .flag(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .flag(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .list(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    /// Indented, with sorted keys: equal values have equal text. Numbers that are none are written as Python writes them.
    var description: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let words = Self.words.map(Self.marked)
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: words[0], negativeInfinity: words[1], nan: words[2])
        guard let data = try? encoder.encode(self) else { return "null" }
        return zip(words, Self.words).reduce(String(decoding: data, as: UTF8.self) + "\n") {
            $0.replacing("\"\($1.0)\"", with: $1.1)
        }
    }

    /// Python's numbers that are none.
    private static let words = ["Infinity", "-Infinity", "NaN"]
    /// No file has such text of its own.
    private static func marked(_ word: String) -> String { "\u{F8FF}\(word)" }
}

extension JSONValue {
    /// JSON as Python writes it: with `Infinity`, `-Infinity` and `NaN` where numbers are none.
    init(python text: String) throws {
        let words = Self.words.map(Self.marked)
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: words[0], negativeInfinity: words[1], nan: words[2])
        var json = Data(), rest = Array(text.utf8)[...], isText = false
        while let next = rest.first {
            if !isText, let word = Self.words.first(where: { rest.starts(with: $0.utf8) }) {
                json += Data("\"\(Self.marked(word))\"".utf8)
                rest.removeFirst(word.utf8.count)
                continue
            }
            json.append(rest.removeFirst())
            if isText, next == UInt8(ascii: "\\"), let escaped = rest.popFirst() { json.append(escaped) }
            if next == UInt8(ascii: "\"") { isText.toggle() }
        }
        self = try decoder.decode(JSONValue.self, from: json)
    }

    init(_ value: Int?) { self = value.map(JSONValue.integer) ?? .null }
}

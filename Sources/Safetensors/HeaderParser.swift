import Foundation

/// Reads the header's JSON: exactly the grammar the format prescribes and nothing else.
///
///     header   = "{" [ member *( "," member ) ] "}" *space
///     member   = "__metadata__" ":" "{" string ":" string, … "}"  |  name ":" tensor
///     tensor   = "{" "dtype", "shape", "data_offsets" once each, in any order "}"
///
/// The grammar has a fixed depth, so no input can make the parser recurse.
struct HeaderParser {
    struct Tensor {
        let name: String
        let type: ElementType
        let shape: [Int]
        let begin: Int
        let end: Int
    }

    struct Header {
        var metadata: [String: String] = [:]
        var tensors: [Tensor] = []
    }

    /// More dimensions than any tensor library has; bounds the work for one tensor.
    private static let rankLimit = 64

    private let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func parse() throws(SafetensorsError) -> Header {
        var header = Header()
        var names: Set<String> = []
        guard bytes.first == UInt8(ascii: "{") else { throw malformed("it does not begin with \"{\"") }
        try object { (parser, name) throws(SafetensorsError) in
            guard names.insert(name).inserted else {
                throw SafetensorsError(.duplicateName, "The header names \(quoted(name)) twice.")
            }
            if name == "__metadata__" {
                header.metadata = try parser.metadata()
            } else {
                header.tensors.append(try parser.tensor(name))
            }
        }
        skipSpace()
        guard position == bytes.count else { throw malformed("something follows the closing brace") }
        return header
    }

    private mutating func metadata() throws(SafetensorsError) -> [String: String] {
        var result: [String: String] = [:]
        try object { (parser, key) throws(SafetensorsError) in
            let value = try parser.string()
            guard result.updateValue(value, forKey: key) == nil else {
                throw SafetensorsError(.duplicateName, "The metadata name \(quoted(key)) twice.")
            }
        }
        return result
    }

    private mutating func tensor(_ name: String) throws(SafetensorsError) -> Tensor {
        var type: ElementType?
        var shape: [Int]?
        var offsets: [Int]?
        try object { (parser, key) throws(SafetensorsError) in
            switch key {
            case "dtype" where type == nil:
                let text = try parser.string()
                guard let known = ElementType(rawValue: text) else {
                    throw SafetensorsError(
                        .unknownType,
                        "Tensor \(quoted(name)) has the element type \(quoted(text)), which is not read here.")
                }
                type = known
            case "shape" where shape == nil:
                shape = try parser.integers(atMost: Self.rankLimit)
            case "data_offsets" where offsets == nil:
                offsets = try parser.integers(atMost: 2)
            default:
                throw parser.malformed("tensor \(quoted(name)) has an unexpected or repeated member \(quoted(key))")
            }
        }
        guard let type, let shape, let offsets, offsets.count == 2 else {
            throw malformed("tensor \(quoted(name)) needs dtype, shape and two data_offsets")
        }
        return Tensor(name: name, type: type, shape: shape, begin: offsets[0], end: offsets[1])
    }

    // MARK: JSON

    private mutating func object(
        _ member: (inout HeaderParser, String) throws(SafetensorsError) -> Void
    ) throws(SafetensorsError) {
        try expect(UInt8(ascii: "{"))
        if take(UInt8(ascii: "}")) { return }
        repeat {
            skipSpace()
            let key = try string()
            try expect(UInt8(ascii: ":"))
            try member(&self, key)
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
    }

    private mutating func integers(atMost limit: Int) throws(SafetensorsError) -> [Int] {
        var result: [Int] = []
        try expect(UInt8(ascii: "["))
        if take(UInt8(ascii: "]")) { return result }
        repeat {
            guard result.count < limit else { throw malformed("a list has more than \(limit) numbers") }
            result.append(try integer())
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
        return result
    }

    private mutating func integer() throws(SafetensorsError) -> Int {
        skipSpace()
        let start = position
        var value = 0
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(Int(bytes[position] - UInt8(ascii: "0")))
            guard !overflow, !carry else { throw malformed("a number does not fit 63 bits") }
            value = sum
            position += 1
        }
        guard position > start else { throw malformed("a whole number was expected") }
        guard position == start + 1 || bytes[start] != UInt8(ascii: "0") else {
            throw malformed("a number begins with 0")
        }
        return value
    }

    private mutating func string() throws(SafetensorsError) -> String {
        try expect(UInt8(ascii: "\""))
        var units: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: units, as: UTF8.self) else {
                    throw malformed("a string is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"):
                units.append(contentsOf: try escape())
            case ..<0x20:
                throw malformed("a string contains a control character")
            default:
                units.append(byte)
            }
        }
        throw malformed("a string does not end")
    }

    /// What follows a backslash, as UTF-8.
    private mutating func escape() throws(SafetensorsError) -> [UInt8] {
        guard position < bytes.count else { throw malformed("a string does not end") }
        let letter = bytes[position]
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [letter]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var units = [try codeUnit()]
            if UTF16.isLeadSurrogate(units[0]), bytes[position...].starts(with: Array("\\u".utf8)) {
                position += 2
                units.append(try codeUnit())
            }
            guard let text = String(validating: units, as: UTF16.self) else { throw malformed("a lone surrogate") }
            return Array(text.utf8)
        default: throw malformed("an unknown escape")
        }
    }

    private mutating func codeUnit() throws(SafetensorsError) -> UInt16 {
        let digits = bytes[position...].prefix(4)
        guard digits.count == 4, let text = String(validating: digits, as: UTF8.self), !text.hasPrefix("+"),
            !text.hasPrefix("-"),
            let unit = UInt16(text, radix: 16)
        else { throw malformed("\\u without four hexadecimal digits") }
        position += 4
        return unit
    }

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        skipSpace()
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws(SafetensorsError) {
        guard take(byte) else { throw malformed("\"\(Character(Unicode.Scalar(byte)))\" was expected") }
    }

    private func malformed(_ problem: String) -> SafetensorsError {
        SafetensorsError(.malformedHeader, "The safetensors header is not valid at byte \(position): \(problem).")
    }
}

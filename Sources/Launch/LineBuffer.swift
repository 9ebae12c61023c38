/// Cuts a stream of bytes into lines.
struct LineBuffer {
    /// A longer line is cut, so that a process that never ends one cannot fill the memory.
    private static let longest = 16_384

    private var rest: [UInt8] = []

    /// The lines that are complete now, without their ends, control characters taken out.
    mutating func append(_ bytes: [UInt8]) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") || rest.count == Self.longest { lines.append(takeRest()) }
            if byte != UInt8(ascii: "\n") { rest.append(byte) }
        }
        return lines
    }

    /// What stands after the last line end, when the stream has ended.
    mutating func finish() -> String? { rest.isEmpty ? nil : takeRest() }

    private mutating func takeRest() -> String {
        defer { rest.removeAll(keepingCapacity: true) }
        return String(decoding: rest.filter { $0 >= 0x20 || $0 == 0x09 }, as: UTF8.self)
    }
}

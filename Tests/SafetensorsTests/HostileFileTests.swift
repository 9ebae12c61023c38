import Foundation
import Testing

@testable import Safetensors

/// Files that lie. Each is refused with its own code, without a crash and without believing a number.
@Suite struct HostileFileTests {
    /// A file with this header and so many bytes of data; `length` overrides what the first 8 bytes claim.
    static func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> Data {
        var file = Data()
        withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { file.append(contentsOf: $0) }
        return file + Data(header.utf8) + Data(count: data)
    }

    static func tensor(_ name: String, type: String = "U8", _ shape: String, _ offsets: String) -> String {
        "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}"
    }

    private func code(_ file: Data) -> SafetensorsError.Code? {
        do {
            _ = try SafetensorsArchive(decoding: file)
            return nil
        } catch {
            return error.code
        }
    }

    @Test(arguments: [0, 1, 7]) func tooShort(_ count: Int) {
        #expect(code(Data(count: count)) == .truncated)
    }

    @Test func headerLengthsThatLie() {
        #expect(code(Self.file("{}", length: 3)) == .truncated)
        #expect(code(Self.file("{}", length: 99_000_000)) == .truncated)
        #expect(code(Self.file("{}", length: 100_000_001)) == .headerTooLarge)
        #expect(code(Self.file("{}", length: .max)) == .headerTooLarge)
        #expect(code(Self.file("{}", length: 1)) == .malformedHeader)
        #expect(code(Self.file("", length: 0)) == .malformedHeader)
        #expect(code(Self.file("{}")) == nil)
    }

    @Test(arguments: [
        ("overlap", "[4]", "[0,4]", "[4]", "[3,7]", 7), ("gap", "[4]", "[0,4]", "[4]", "[5,9]", 9),
        ("past the end", "[4]", "[0,4]", "[4]", "[4,8]", 7), ("backwards", "[4]", "[0,4]", "[0]", "[4,3]", 4),
        ("not from 0", "[4]", "[1,5]", "[4]", "[5,9]", 9), ("data left over", "[4]", "[0,4]", "[4]", "[4,8]", 9),
        ("the same bytes twice", "[4]", "[0,4]", "[4]", "[0,4]", 4),
        ("enormous", "[4]", "[0,4]", "[4]", "[4,9223372036854775807]", 8),
    ])
    func offsetsThatLie(
        _ what: String, _ shape0: String, _ offsets0: String, _ shape1: String, _ offsets1: String, _ data: Int
    ) {
        let header = "{\(Self.tensor("a", shape0, offsets0)),\(Self.tensor("b", shape1, offsets1))}"
        #expect(code(Self.file(header, data: data)) == .badOffsets, "\(what)")
    }

    @Test(arguments: [
        "[5]", "[2,3]", "[4294967296,4294967296]", "[9223372036854775807,2]",
        "[9223372036854775807,9223372036854775807,0]",
    ])
    func shapesThatLie(_ shape: String) {
        #expect(code(Self.file("{\(Self.tensor("a", shape, "[0,4]"))}", data: 4)) == .sizeMismatch)
    }

    @Test func namesTwice() {
        let a = Self.tensor("a", "[1]", "[0,1]")
        #expect(code(Self.file("{\(a),\(Self.tensor("a", "[1]", "[1,2]"))}", data: 2)) == .duplicateName)
        #expect(code(Self.file("{\(a),\(Self.tensor("\\u0061", "[1]", "[1,2]"))}", data: 2)) == .duplicateName)
        #expect(code(Self.file("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}")) == .duplicateName)
        #expect(code(Self.file("{\"__metadata__\":{},\"__metadata__\":{}}")) == .duplicateName)
    }

    @Test func unknownTypes() {
        #expect(code(Self.file("{\(Self.tensor("a", type: "F8_E4M3", "[1]", "[0,1]"))}", data: 1)) == .unknownType)
    }

    static let malformed = [
        "[]", " {}", "{", "{}x", "{\"a\"}", "{\"a\":1}", "{\"a\":{}}", "{,}", "{\"a\":{\"dtype\":\"U8\"}}", "null",
        "{\(tensor("a", "[1]", "[0]"))}", "{\(tensor("a", "[1]", "[0,1,1]"))}", "{\(tensor("a", "[-1]", "[0,1]"))}",
        "{\(tensor("a", "[1.0]", "[0,1]"))}", "{\(tensor("a", "[01]", "[0,1]"))}", "{\(tensor("a", "[1e0]", "[0,1]"))}",
        "{\(tensor("a", "[99999999999999999999]", "[0,1]"))}", "{\(tensor("a", "[1]", "[0,1]")),}",
        "{\(tensor("\u{01}", "[1]", "[0,1]"))}", "{\(tensor("\\ud800", "[1]", "[0,1]"))}",
        "{\(tensor("\\x", "[1]", "[0,1]"))}",
        "{\(tensor("\\u00", "[1]", "[0,1]"))}", "{\(tensor("\\u+123", "[1]", "[0,1]"))}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"extra\":1}}",
        "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
        "{\"__metadata__\":{\"k\":1}}", "{\"__metadata__\":[]}",
    ]

    @Test(arguments: malformed) func headersThatAreNotTheFormat(_ header: String) {
        #expect(code(Self.file(header, data: 1)) == .malformedHeader)
    }

    @Test func hugeNestingAndEndlessLists() {
        #expect(code(Self.file("{\"a\":" + String(repeating: "[", count: 1_000_000))) == .malformedHeader)
        #expect(code(Self.file("{" + String(repeating: "\"a\":{", count: 200_000))) == .malformedHeader)
        let ones = "[" + String(repeating: "1,", count: 100_000) + "1]"
        #expect(code(Self.file("{\(Self.tensor("a", ones, "[0,1]"))}", data: 1)) == .malformedHeader)
    }

    @Test func namesThatAreNotUTF8() {
        var file = Self.file("{\(Self.tensor("\u{7f}", "[1]", "[0,1]"))}", data: 1)
        #expect(code(file) == nil)
        file[file.firstIndex(of: 0x7f)!] = 0xff
        #expect(code(file) == .malformedHeader)
    }

    /// Any single byte changed, or the file cut anywhere: an error or another sound archive, never a crash.
    @Test func everyByteFlippedAndEveryCut() throws {
        var archive = SafetensorsArchive(metadata: ["k": "v"])
        try archive.append(.init(name: "a", shape: [2], floats: [1, 2]))
        try archive.append(.init(name: "b\u{e9}", shape: [1, 1], uint8s: [3]))
        let file = archive.encoded()
        for index in file.indices {
            #expect(code(file.prefix(index)) != nil)
            for bit in 0..<8 {
                var damaged = file
                damaged[index] ^= 1 << bit
                if let sound = try? SafetensorsArchive(decoding: damaged) {
                    #expect(sound.entries.reduce(0) { $0 + $1.bytes.count } == 9)
                }
            }
        }
    }

    @Test func aSliceOfALargerBufferIsReadInPlace() throws {
        var archive = SafetensorsArchive()
        try archive.append(.init(name: "a", shape: [2], floats: [1, 2]))
        let padded = Data(count: 5) + archive.encoded() + Data(count: 3)
        #expect(try SafetensorsArchive(decoding: padded.dropFirst(5).dropLast(3)).floats("a") == [1, 2])
    }

    @Test func questionsItCannotAnswer() throws {
        var archive = SafetensorsArchive()
        try archive.append(.init(name: "a", shape: [2, 1], floats: [1, 2]))
        #expect(throws: SafetensorsError.self) { try archive.append(.init(name: "a", shape: [1], floats: [1])) }
        #expect(throws: SafetensorsError.self) {
            try archive.append(.init(name: "__metadata__", shape: [1], floats: [1]))
        }
        #expect(throws: SafetensorsError.self) { try SafetensorsArchive.Entry(name: "x", shape: [3], floats: [1, 2]) }
        #expect(throws: SafetensorsError.self) {
            try SafetensorsArchive.Entry(name: "x", shape: [-1, -2], floats: [1, 2])
        }
        func code(_ body: () throws -> [Float]) -> SafetensorsError.Code? {
            do {
                _ = try body()
                return nil
            } catch { return (error as? SafetensorsError)?.code }
        }
        #expect(code { try archive.floats("b") } == .missing)
        #expect(code { try archive.floats("a", shape: [2]) } == .wrongShape)
        #expect(code { try archive.floats("a", shape: [nil, 2]) } == .wrongShape)
        #expect(code { try archive.integers("a").map(Float.init) } == .wrongType)
    }

    @Test func filesThatAreNotThere() {
        let error = #expect(throws: SafetensorsError.self) {
            try SafetensorsArchive(contentsOf: URL(filePath: "/nonexistent/file.safetensors"))
        }
        #expect(error?.code == .unreadable)
    }
}

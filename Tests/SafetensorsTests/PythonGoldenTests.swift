import Foundation
import Testing

@testable import Safetensors

/// A file written by Python's library (`Tests/Goldens/torch_ops.py`) with every element type and an odd name.
@Suite struct PythonGoldenTests {
    private func file() throws -> Data {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return try Data(contentsOf: folder.appending(path: "Goldens/safetensors_types.safetensors"))
    }

    @Test func isRead() throws {
        let archive = try SafetensorsArchive(decoding: file())
        let exact = [-2.5, 0, 1, 3.25, 100, -0.125]
        for name in ["f64", "f32", "f16", "bf16"] {
            #expect(try archive.doubles(name, shape: [2, 3]) == exact)
        }
        for name in ["i64", "i32", "i16", "i8"] {
            #expect(try archive.integers(name, shape: [2, 3]) == [-2, 0, 1, 3, 100, 0])
        }
        #expect(try archive.integers("u8") == [0, 7, 255])
        #expect(try archive.integers("bool") == [1, 0, 1])
        #expect(try archive.floats("a \"quoted\" näme\\\n\t\u{01} ☃", shape: []) == [1.5])
        #expect(try archive.floats("empty", shape: [0, 4]).isEmpty)
        #expect(archive.metadata == ["made by": "Python ☃"])
        #expect(archive.entries.count == 12)
    }

    /// Byte for byte what Python writes, whatever the order of adding: so Python reads what we write.
    @Test func isWritten() throws {
        let archive = try SafetensorsArchive(decoding: file())
        var shuffled = SafetensorsArchive(metadata: archive.metadata)
        for entry in archive.entries.reversed() { try shuffled.append(entry) }
        #expect(try shuffled.encoded() == file())
    }

    @Test func survivesTheDisk() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).safetensors")
        defer { try? FileManager.default.removeItem(at: url) }
        let archive = try SafetensorsArchive(decoding: file())
        try archive.write(to: url)
        #expect(try SafetensorsArchive(contentsOf: url) == archive)
    }
}

import Testing

@testable import Safetensors

@Suite struct RoundTripTests {
    @Test func whatIsWrittenIsRead() throws {
        var archive = SafetensorsArchive(metadata: ["format": "pt", "note": "a \"quoted\" \\ line\n"])
        try archive.append(.init(name: "pixels", shape: [2, 2], floats: [1, -2, 0.5, .infinity]))
        try archive.append(.init(name: "labels", shape: [3], int64s: [7, -1, .max]))
        try archive.append(.init(name: "raw", shape: [3], uint8s: [0, 128, 255]))
        try archive.append(.init(name: "exact", shape: [], doubles: [0.1]))
        try archive.append(.init(name: "nothing", shape: [0, 5], floats: []))
        let again = try SafetensorsArchive(decoding: archive.encoded())
        #expect(again.metadata == archive.metadata)
        #expect(Set(again.names) == Set(archive.names))
        #expect(try again.floats("pixels", shape: [2, nil]) == [1, -2, 0.5, .infinity])
        #expect(try again.integers("labels") == [7, -1, .max])
        #expect(try again.integers("raw") == [0, 128, 255])
        #expect(try again.doubles("exact", shape: []) == [0.1])
        #expect(again.encoded() == archive.encoded())
    }
}

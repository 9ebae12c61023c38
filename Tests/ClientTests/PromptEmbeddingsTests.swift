import Foundation
import Safetensors
import Testing

@testable import CollaFuseClient

/// What a text encoder wrote, on its way into requests.
struct PromptEmbeddingsTests {
    /// A file with embeddings [P, 2, 4] of which prompt p's are all p.
    private func file(
        _ name: String = "encoder_hidden_states", shape: [Int] = [3, 2, 4], value: Float? = nil
    ) throws -> URL {
        let url = FileManager.default.temporaryDirectory.appending(path: "prompts-\(UUID()).safetensors")
        let row = max(1, shape.dropFirst().reduce(1, *))
        let floats = (0..<shape.reduce(1, *)).map { value ?? Float($0 / row) }
        var archive = SafetensorsArchive()
        try archive.append(.init(name: name, shape: shape, floats: floats))
        try archive.write(to: url)
        return url
    }

    @Test func eachSampleBringsItsPrompt() throws {
        let url = try file()
        defer { try? FileManager.default.removeItem(at: url) }
        let text = try PromptEmbeddings(contentsOf: url)
        #expect(text.count == 3 && text.prompts(guidance: 1) == 3 && text.prompts(guidance: 2.5) == 2)
        let guided = try SafetensorsArchive(decoding: text.tensors([0, 0, 1], guidance: 2.5))
        #expect(
            try guided.floats("text", shape: [3, 2, 4]) == [Float](repeating: 0, count: 16)
                + .init(repeating: 1, count: 8))
        #expect(try guided.floats("no_text", shape: [1, 2, 4]) == .init(repeating: 2, count: 8))
        // One for all is sent once.
        let plain = try SafetensorsArchive(decoding: text.tensors([2, 2], guidance: 1))
        #expect(plain.names == ["text"])
        #expect(try plain.floats("text", shape: [1, 2, 4]) == .init(repeating: 2, count: 8))
        // 0 is none as 1 is: the last prompt is one like the others.
        #expect(text.prompts(guidance: 0) == 3)
        #expect(try SafetensorsArchive(decoding: text.tensors([2], guidance: 0)).names == ["text"])
        try SampleRequest(held: [0], perLabel: 1, cut: 500, guidance: 0, text: text).check()
    }

    @Test func filesOfAnotherKindAreRefused() throws {
        let files = try [
            file("text"), file(shape: [3, 4]), file(shape: [0, 2, 4]), file(value: .nan),
            FileManager.default.temporaryDirectory.appending(path: "gone.safetensors"),
        ]
        for url in files {
            defer { try? FileManager.default.removeItem(at: url) }
            #expect(throws: ClientError.self) { try PromptEmbeddings(contentsOf: url) }
        }
        #expect(throws: ClientError.self) {
            let url = try file(shape: [1, 2, 4])
            defer { try? FileManager.default.removeItem(at: url) }
            var request = SampleRequest(held: [0], perLabel: 1, cut: 500, guidance: 2)
            request.text = try PromptEmbeddings(contentsOf: url)
            try request.check()
        }
    }
}

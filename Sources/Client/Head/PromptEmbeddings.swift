internal import Chain
public import Foundation
internal import Safetensors

/// What a text encoder made of prompts. It is sealed with a request, so workers see it and the broker does not.
///
///     // In Python: save_file({"encoder_hidden_states": encoder(**tokenizer(prompts + [""], …)).last_hidden_state}, "text.safetensors")
///     let text = try PromptEmbeddings(contentsOf: URL(filePath: "text.safetensors"))
public struct PromptEmbeddings: Sendable, Hashable {
    /// Prompts in the file, the empty one too where there is one.
    public let count: Int
    private let tokens: Int
    private let width: Int
    /// [P, S, D] in row-major order.
    private let values: [Float]

    private static let name = "encoder_hidden_states"

    /// A safetensors file with `encoder_hidden_states` [P, S, D]; the last is the empty prompt where samples are to be guided.
    ///
    /// - Throws: `badRequest` for a file that is not of this kind, or holds NaN.
    public init(contentsOf url: URL) throws(ClientError) {
        do {
            let archive = try SafetensorsArchive(contentsOf: url)
            let shape = try archive.entry(Self.name).shape
            values = try archive.floats(Self.name)
            guard shape.count == 3, !values.isEmpty, values.allSatisfy(\.isFinite) else {
                throw ClientError(
                    .badRequest, "\(url.path): '\(Self.name)' is wanted as [P, S, D], all finite, not \(shape)")
            }
            (count, tokens, width) = (shape[0], shape[1], shape[2])
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError(.badRequest, "\(url.path) holds no embeddings of prompts: \(error)")
        }
    }

    /// Samples with a prompt each that one job holds: a broker takes 8 MiB, and the empty prompt goes along.
    var largestChunk: Int { max(1, (4 << 20) / (4 * tokens * width)) }

    /// How many ask for something: all but the last where samples are guided away from it.
    func prompts(guidance: Double) -> Int { SamplePlan.isGuided(guidance) ? count - 1 : count }

    /// The tensors of a request.
    ///
    /// - Parameter rows: the prompt of each sample.
    func tensors(_ rows: [Int], guidance: Double) throws -> Data {
        func floats(_ row: Int) -> ArraySlice<Float> { values[row * tokens * width..<(row + 1) * tokens * width] }
        var archive = SafetensorsArchive()
        // One for all where they are the same.
        let distinct = Set(rows).count == 1 ? Array(rows.prefix(1)) : rows
        try archive.append(
            .init(name: "text", shape: [distinct.count, tokens, width], floats: distinct.flatMap(floats)))
        if SamplePlan.isGuided(guidance) {
            try archive.append(.init(name: "no_text", shape: [1, tokens, width], floats: Array(floats(count - 1))))
        }
        return archive.encoded()
    }
}

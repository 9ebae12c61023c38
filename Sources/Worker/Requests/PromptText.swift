internal import Diffusion
internal import Safetensors
internal import Torch
internal import Wire
internal import Workbench

/// Embeddings of prompts that came with a denoise request, read and checked:
///
///     text       [N or 1, S, D], one for each sample or one for all
///     no_text    [1, S, D], the empty prompt's, from which guidance leads away
package struct PromptText: Sendable {
    /// S
    package let tokens: Int
    /// D
    package let width: Int
    /// One for each sample, or one for all: S × D numbers each.
    private let prompts: [[Float]]
    private let none: [Float]?
    /// The tensors hold the samples' start too.
    let isBesideStart: Bool

    /// More than any text encoder writes.
    package static let maximumTokens = 1024

    /// - Returns: nil when there is no text.
    /// - Throws: `badPayload` when it cannot be read, `badRequest` for shapes that do not fit each other, and for NaN.
    init?(_ payload: WirePayload, samples: Int) throws(RequestError) {
        guard !payload.tensors.isEmpty else { return nil }
        let archive: SafetensorsArchive
        do { archive = try SafetensorsArchive(decoding: payload.tensors) } catch {
            throw RequestError(.badPayload, "the tensors are no safetensors: \(error.message)")
        }
        guard let entry = archive["text"] else {
            guard archive["no_text"] == nil else { throw RequestError(.badRequest, "`no_text` came without `text`") }
            return nil
        }
        guard entry.shape.count == 3, [1, samples].contains(entry.shape[0]),
            (1...Self.maximumTokens).contains(entry.shape[1]), entry.shape[2] > 0
        else {
            throw RequestError(
                .badRequest,
                "`text` is wanted as [\(samples) or 1, S, D] with S up to \(Self.maximumTokens), not \(entry.shape)")
        }
        tokens = entry.shape[1]
        width = entry.shape[2]
        let size = tokens * width
        let all = try Self.values(archive, "text", entry.shape)
        prompts = stride(from: 0, to: all.count, by: size).map { Array(all[$0..<$0 + size]) }
        isBesideStart = archive["x"] != nil
        none = archive["no_text"] == nil ? nil : try Self.values(archive, "no_text", [1, tokens, width])
    }

    private static func values(
        _ archive: SafetensorsArchive, _ name: String, _ shape: [Int]
    ) throws(RequestError) -> [Float] {
        let values: [Float]
        do { values = try archive.floats(name, shape: shape) } catch {
            throw RequestError(.badRequest, "`\(name)` is wanted as \(shape): \(error.message)")
        }
        guard values.allSatisfy(\.isFinite) else {
            throw RequestError(.badRequest, "`\(name)` holds NaN or infinity")
        }
        return values
    }
}

extension DenoiseOrder {
    /// - Parameter textWidth: D of the backbone; nil: it looks at no text.
    /// - Throws: `badRequest` unless the request brings what the backbone wants.
    func check(textWidth: Int?) throws(RequestError) {
        switch (textWidth, text) {
        case (nil, nil): return
        case (nil, .some):
            throw RequestError(.badRequest, "this run's backbone looks at no text: leave `text` out")
        case (.some(let width), nil):
            throw RequestError(
                .badRequest, "this run's backbone looks at text: send `text` [N or 1, S, \(width)] of a text encoder")
        case (.some(let width), .some(let text)):
            guard text.width == width else {
                throw RequestError(
                    .badRequest,
                    "this run's backbone wants `text` [N or 1, S, \(width)], not [.., \(text.tokens), \(text.width)]")
            }
            guard !isGuided || text.hasNone else {
                throw RequestError(
                    .badRequest,
                    "guidance leads away from the empty prompt: send its `no_text` [1, S, \(width)], or set guidance to 1"
                )
            }
        }
    }

    /// The texts of some samples of orders whose texts are of one length; nil: they have none.
    static func text(of samples: [(order: DenoiseOrder, place: Int)]) -> TextRows? {
        guard let first = samples.first?.order.text else { return nil }
        let shape = [samples.count, first.tokens, first.width]
        let isGuided = samples.contains { $0.order.isGuided }
        return TextRows(
            prompts: Tensor(samples.flatMap { $0.order.text?.prompt($0.place) ?? [] }, shape: shape),
            none: isGuided
                ? Tensor(samples.flatMap { $0.order.text?.noPrompt($0.place) ?? [] }, shape: shape) : nil)
    }
}

extension PromptText {
    fileprivate var hasNone: Bool { none != nil }
    fileprivate func prompt(_ place: Int) -> [Float] { prompts[prompts.count == 1 ? 0 : place] }
    /// For samples that are not guided themselves, any serves.
    fileprivate func noPrompt(_ place: Int) -> [Float] { none ?? prompt(place) }
}

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
    /// One for each sample, or one for all: S × D numbers each, one after another.
    fileprivate let prompts: [Float]
    fileprivate let none: [Float]?
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
        prompts = try Self.values(archive, "text", entry.shape)
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
}

extension PromptText {
    fileprivate var hasNone: Bool { none != nil }
}

/// A job's texts as its backbone looks at them: made once, on the device and in the type that it computes with.
struct JobText {
    /// [N or 1, S, D]
    private let prompts: Tensor
    /// [1, S, D]; nil: its samples are not guided.
    private let none: Tensor?

    /// - Parameter network: nil: as they came.
    init(_ text: PromptText, for network: UNet?) {
        func tensor(_ values: [Float]) -> Tensor {
            let tensor = Tensor(values, shape: [values.count / (text.tokens * text.width), text.tokens, text.width])
            return network.map { tensor.to($0.device).to($0.dtype) } ?? tensor
        }
        prompts = tensor(text.prompts)
        none = text.none.map(tensor)
    }

    /// A row for each of these samples, whose texts are of one length; nil: they have none.
    static func rows(of samples: [(text: JobText, place: Int, isGuided: Bool)]) -> TextRows? {
        guard !samples.isEmpty else { return nil }
        let prompts = samples.map { $0.text.prompt($0.place) }
        let isGuided = samples.contains(where: \.isGuided)
        return TextRows(
            prompts: .concatenated(prompts, 0),
            // For samples that are not guided themselves, any serves.
            none: isGuided ? .concatenated(zip(samples, prompts).map { $0.text.none ?? $1 }, 0) : nil)
    }

    private func prompt(_ place: Int) -> Tensor {
        let row = prompts.size(0) == 1 ? 0 : place
        return prompts[row..<row + 1]
    }
}

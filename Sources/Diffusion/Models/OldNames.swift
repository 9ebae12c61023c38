internal import Foundation
internal import Safetensors
internal import Torch

/// What attention was called before diffusers 0.13, and in DDPM's own code, where a layer over channels is a matrix [in, out].
private let oldNames: [(old: String, new: String, isTransposed: Bool)] = [
    ("query.weight", "to_q.weight", false), ("query.bias", "to_q.bias", false),
    ("key.weight", "to_k.weight", false), ("key.bias", "to_k.bias", false),
    ("value.weight", "to_v.weight", false), ("value.bias", "to_v.bias", false),
    ("proj_attn.weight", "to_out.0.weight", false), ("proj_attn.bias", "to_out.0.bias", false),
    ("NIN_0.W", "to_q.weight", true), ("NIN_0.b", "to_q.bias", false),
    ("NIN_1.W", "to_k.weight", true), ("NIN_1.b", "to_k.bias", false),
    ("NIN_2.W", "to_v.weight", true), ("NIN_2.b", "to_v.bias", false),
    ("NIN_3.W", "to_out.0.weight", true), ("NIN_3.b", "to_out.0.bias", false),
    ("GroupNorm_0.weight", "group_norm.weight", false), ("GroupNorm_0.bias", "group_norm.bias", false),
]

/// The checkpoint under the names and in the shapes that the network has: old names of attention are translated, and a layer over
/// channels that was kept as a convolution of one pixel, [out, in, 1, 1], becomes a matrix, or the other way round.
///
/// What is unknown stays as it is, for the error to name.
func renamed(
    _ archive: SafetensorsArchive, for parameters: [(key: String, tensor: Tensor)]
) throws -> SafetensorsArchive {
    let shapes = Dictionary(parameters.map { ($0.key, $0.tensor.shape) }, uniquingKeysWith: { first, _ in first })
    var result = SafetensorsArchive(metadata: archive.metadata)
    for entry in archive.entries {
        let rule =
            shapes[entry.name] == nil && entry.name.contains("attentions.")
            ? oldNames.first { entry.name.hasSuffix("." + $0.old) } : nil
        guard let rule else {
            try result.append(reshaped(entry, as: entry.name, shapes[entry.name]))
            continue
        }
        let name = entry.name.dropLast(rule.old.count) + rule.new
        try result.append(
            reshaped(rule.isTransposed ? transposed(entry) : entry, as: String(name), shapes[String(name)]))
    }
    return result
}

/// In the wanted shape where the two differ in dimensions of 1 alone; else in its own.
private func reshaped(
    _ entry: SafetensorsArchive.Entry, as name: String, _ wanted: [Int]?
) throws -> SafetensorsArchive.Entry {
    let same = wanted.map { $0.filter { $0 != 1 } == entry.shape.filter { $0 != 1 } } ?? false
    return try .init(
        name: name, type: entry.type, shape: same ? wanted ?? entry.shape : entry.shape, bytes: entry.bytes)
}

private func transposed(_ entry: SafetensorsArchive.Entry) throws -> SafetensorsArchive.Entry {
    entry.shape.count == 2 ? try Tensor(entry).transposed(0, 1).entry(named: entry.name) : entry
}

package import Safetensors
package import Torch

/// Noise that someone else drew: x where samples begin, and z of every step.
///
/// A file may name its tensors as it likes: the one with four dimensions is x, the one with five is z step by step. A single one with
/// five holds x first. With several of four, x is the one that is called `x_T`.
package struct GivenNoise {
    /// [N, C, H, W]
    package let start: Tensor
    /// [N, C, H, W] for each step; none where the file had none.
    package let steps: [Tensor]

    /// - Throws: `badNoise` for a file that is not of this kind, or holds NaN.
    package init(_ archive: SafetensorsArchive) throws(DiffusionError) {
        var flat = archive.entries.filter { $0.shape.count == 4 }
        let deep = archive.entries.filter { $0.shape.count == 5 }
        if flat.count > 1 { flat.removeAll { $0.name != "x_T" } }
        guard flat.count <= 1, deep.count <= 1, let first = flat.first ?? deep.first else {
            throw DiffusionError(
                .badNoise,
                "x_T [N, C, H, W], and for stochastic samplers noise [steps, N, C, H, W], is wanted; there is \(Self.list(archive))"
            )
        }
        var rows =
            try deep.first.map { (entry) throws(DiffusionError) in try Self.tensor(entry) }
            .map { all in (0..<all.size(0)).map { all[$0] } } ?? []
        let start: Tensor
        if flat.isEmpty {
            guard !rows.isEmpty else { throw DiffusionError(.badNoise, "'\(first.name)' is empty") }
            start = rows.removeFirst()
        } else {
            start = try Self.tensor(first)
        }
        guard start.count > 0 else { throw DiffusionError(.badNoise, "'\(first.name)' is empty") }
        guard rows.allSatisfy({ $0.shape == start.shape }) else {
            throw DiffusionError(
                .badNoise, "the noise of a step must have the shape of x_T, \(start.shape), not \(rows[0].shape)")
        }
        self.start = start
        steps = rows
    }

    private static func tensor(_ entry: SafetensorsArchive.Entry) throws(DiffusionError) -> Tensor {
        let tensor: Tensor
        do { tensor = try Tensor(entry) } catch {
            throw DiffusionError(.badNoise, "'\(entry.name)' cannot be read: \(error.message)")
        }
        guard tensor.dtype.isFloatingPoint else {
            throw DiffusionError(.badNoise, "'\(entry.name)' holds \(tensor.dtype), not floating-point numbers")
        }
        guard tensor.isFinite else { throw DiffusionError(.badNoise, "'\(entry.name)' holds NaN or infinity") }
        return tensor.to(tensor.dtype == .float64 ? .float64 : .float32)
    }

    private static func list(_ archive: SafetensorsArchive) -> String {
        let entries = archive.entries.prefix(8).map { "\($0.name) \($0.shape)" }
        return entries.isEmpty ? "nothing" : entries.joined(separator: ", ")
    }
}

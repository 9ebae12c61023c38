package import Safetensors
package import Torch

/// Noise that someone else drew: x where samples begin, and z of every step.
///
/// A file may name its tensors as it likes: the one with four dimensions is x, the one with five is z step by step. A single one with
/// five holds x first. With several of four, x is the one that is called `x_T`.
package struct GivenNoise {
    /// [N, C, H, W]
    package let start: Tensor
    /// [steps, N, C, H, W], after x where that is the first; nil: the file had none.
    private let deep: Tensor?
    /// Steps whose noise is there.
    package let steps: Int

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
        // Before anything is read: a shape with a zero in it may have any number of rows in a file of no bytes.
        for entry in [flat.first, deep.first] {
            guard let entry, entry.shape.contains(0) else { continue }
            throw DiffusionError(.badNoise, "'\(entry.name)' is empty: its shape is \(entry.shape)")
        }
        let image = flat.isEmpty ? Array(first.shape.dropFirst()) : first.shape
        if let entry = deep.first, Array(entry.shape.dropFirst()) != image {
            throw DiffusionError(
                .badNoise,
                "the noise of a step must have the shape of x_T, \(image), not \(Array(entry.shape.dropFirst()))")
        }
        self.deep = try deep.first.map { (entry) throws(DiffusionError) in try Self.tensor(entry) }
        let rows = self.deep?.size(0) ?? 0
        if flat.isEmpty, let deep = self.deep {
            start = deep[0]
            steps = rows - 1
        } else {
            start = try Self.tensor(first)
            steps = rows
        }
    }

    /// What is added in a step [N, C, H, W].
    ///
    /// - Precondition: 0 ≤ index < `steps`.
    package func step(_ index: Int) -> Tensor {
        guard let deep, (0..<steps).contains(index) else { preconditionFailure("noise of step \(index) of \(steps)") }
        return deep[deep.size(0) - steps + index]
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

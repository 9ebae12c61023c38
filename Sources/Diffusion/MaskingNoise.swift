internal import Foundation
internal import Torch

/// ε for masking, made of a cryptographic key stream and of nothing else.
///
/// A type of its own, so that a job's seed, which others know, cannot become a mask by a slip. `Client/Release` is the only
/// maker; it keys the stream by (masking key, image id, run, ζ, k), so no two images and no two cuts share an ε.
package struct MaskingNoise {
    /// [N, C, H, W], standard normal
    let epsilon: Tensor

    /// Bytes of key stream that `values` normals are made of.
    package static func byteCount(values: Int) -> Int { (values + 1) / 2 * 16 }

    /// Box–Muller in Double over pairs of 64-bit words, little-endian, for each image from a stream of its own.
    ///
    /// - Parameters:
    ///   - streams: for each image its key stream, `byteCount(values:)` bytes for the values of one image.
    ///   - imageShape: [C, H, W]
    /// - Throws: `badImages` when a stream has another length.
    package init(streams: [UnsafeRawBufferPointer], imageShape: [Int]) throws(DiffusionError) {
        let values = imageShape.reduce(1, *)
        var normals: [Float] = []
        normals.reserveCapacity(streams.count * values)
        for stream in streams {
            guard stream.count == Self.byteCount(values: values) else {
                throw DiffusionError(
                    .badImages,
                    "a mask of \(values) values takes \(Self.byteCount(values: values)) bytes of key stream, not \(stream.count)"
                )
            }
            for value in stride(from: 0, to: values, by: 2) {
                let radius = (-2 * log(Self.unit(stream, 8 * value))).squareRoot()
                let angle = 2 * Double.pi * Self.unit(stream, 8 * value + 8)
                normals.append(Float(radius * cos(angle)))
                if value + 1 < values { normals.append(Float(radius * sin(angle))) }
            }
        }
        epsilon = Tensor(normals, shape: [streams.count] + imageShape)
    }

    /// The word at `offset` as a number in (0, 1]: its upper 53 bits and one step, so that the logarithm is finite.
    private static func unit(_ stream: UnsafeRawBufferPointer, _ offset: Int) -> Double {
        let word = UInt64(littleEndian: stream.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        return Double((word >> 11) + 1) * 0x1p-53
    }
}

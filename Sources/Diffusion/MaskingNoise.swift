package import Chain
internal import Foundation
internal import Torch

/// ε for masking, made of a cryptographic key stream and of nothing else.
///
/// A type of its own, so that a job's seed, which others know, cannot become a mask by a slip. `Client/Release` is the only
/// maker; it keys the stream by (masking key, image id, run, ζ, k), so no two images and no two cuts share an ε.
package struct MaskingNoise {
    /// [N, C, H, W], the chain's noise: standard normal, and the schedule's offset noise where it has some.
    let epsilon: Tensor
    /// o of the schedule it was made for.
    let offset: Double

    /// Bytes of key stream that the mask of one image [C, H, W] is made of.
    package static func byteCount(imageShape: [Int], on schedule: Schedule) -> Int {
        (schedule.normalsPerImage(imageShape) + 1) / 2 * 16
    }

    /// Box–Muller in Double over pairs of 64-bit words, little-endian, for each image from a stream of its own.
    ///
    /// - Parameters:
    ///   - streams: for each image its key stream, `byteCount(imageShape:on:)` bytes.
    ///   - imageShape: [C, H, W]
    /// - Throws: `badImages` when a stream has another length.
    package init(
        streams: [UnsafeRawBufferPointer], imageShape: [Int], on schedule: Schedule
    ) throws(DiffusionError) {
        let values = schedule.normalsPerImage(imageShape), length = Self.byteCount(imageShape: imageShape, on: schedule)
        var noise: [Float] = []
        noise.reserveCapacity(streams.count * values)
        for stream in streams {
            guard stream.count == length else {
                throw DiffusionError(
                    .badImages, "a mask of \(values) normals takes \(length) bytes of key stream, not \(stream.count)")
            }
            var normals: [Float] = []
            normals.reserveCapacity(values)
            for value in stride(from: 0, to: values, by: 2) {
                let radius = (-2 * log(Self.unit(stream, 8 * value))).squareRoot()
                let angle = 2 * Double.pi * Self.unit(stream, 8 * value + 8)
                normals.append(Float(radius * cos(angle)))
                if value + 1 < values { normals.append(Float(radius * sin(angle))) }
            }
            noise += schedule.noise(normals, imageShape: imageShape)
        }
        epsilon = Tensor(noise, shape: [streams.count] + imageShape)
        offset = schedule.offsetNoise
    }

    /// The word at `offset` as a number in (0, 1]: its upper 53 bits and one step, so that the logarithm is finite.
    private static func unit(_ stream: UnsafeRawBufferPointer, _ offset: Int) -> Double {
        let word = UInt64(littleEndian: stream.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        return Double((word >> 11) + 1) * 0x1p-53
    }
}

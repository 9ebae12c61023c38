internal import Chain
internal import Torch

/// Images that must not leave their owner.
///
///     let images = try PrivateImages(pixels, shape: [100, 1, 8, 8])
///
/// The type is a wall, not a convenience: it is not `Codable`, prints no values, and outside this room nothing gives its
/// tensor out again. What can be had from it is a loss (``headLoss``) and, through ``mask(_:at:with:)``, masked images.
/// Values lie in [−1, 1], as the exposure ledger's ‖x‖ takes for granted.
package struct PrivateImages: CustomStringConvertible {
    /// [N, C, H, W]
    let x: Tensor

    /// - Parameter shape: [N, C, H, W]
    /// - Throws: `badImages` for another number of values, or one outside [−1, 1].
    package init(_ values: [Float], shape: [Int]) throws(DiffusionError) {
        guard shape.count == 4, shape.allSatisfy({ $0 > 0 }), shape.reduce(1, *) == values.count else {
            throw DiffusionError(
                .badImages, "\(values.count) values do not fill images of shape \(shape): [N, C, H, W] is wanted")
        }
        guard values.allSatisfy({ $0 >= -1 && $0 <= 1 }) else {
            throw DiffusionError(
                .badImages, "an image has a value outside [−1, 1] or one that is no number: scale it first")
        }
        x = Tensor(values, shape: shape)
    }

    private init(x: Tensor) { self.x = x }

    package var count: Int { x.size(0) }
    /// [C, H, W]
    package var imageShape: [Int] { Array(x.shape.dropFirst()) }

    /// Some of the images, in the order asked for.
    package func rows(_ rows: [Int]) -> PrivateImages { PrivateImages(x: x.gathered(0, rows: Tensor(rows))) }

    package var description: String { "\(count) private images" }
}

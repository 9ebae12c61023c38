package import Foundation

/// Images laid out in rows and columns, to look at.
///
///     try ImageGrid(rows: [real, masked, final], scale: 4).png()
///
/// Rows may have different lengths; all images share one shape.
package struct ImageGrid: Sendable {
    /// Each inner array is one row, from left to right.
    package let rows: [[Image]]
    /// Every pixel becomes a square of so many.
    package let scale: Int
    /// Pixels between images and around them, after scaling.
    package let padding: Int
    /// The value between images: 1 is white.
    package let background: Float

    /// - Precondition: there is an image, all have one shape, and `scale` is at least 1.
    package init(rows: [[Image]], scale: Int = 4, padding: Int = 2, background: Float = 1) {
        let shapes = Set(rows.joined().map(\.shape))
        precondition(shapes.count == 1, "a grid needs images of one shape, not \(shapes)")
        precondition(scale >= 1 && padding >= 0)
        self.rows = rows
        self.scale = scale
        self.padding = padding
        self.background = background
    }

    /// The grid as one image.
    package func image() -> Image {
        let tile = rows.lazy.joined().first!.shape  // there is one: see init
        let columns = rows.map(\.count).max() ?? 0
        let step = (height: tile.height * scale + padding, width: tile.width * scale + padding)
        let shape = ImageShape(
            channels: tile.channels, height: rows.count * step.height + padding, width: columns * step.width + padding)
        var values = [Float](repeating: background, count: shape.count)
        for (row, images) in rows.enumerated() {
            for (column, image) in images.enumerated() {
                let origin = (y: padding + row * step.height, x: padding + column * step.width)
                for channel in 0..<tile.channels {
                    for y in 0..<tile.height * scale {
                        let from = (channel * tile.height + y / scale) * tile.width
                        let to = (channel * shape.height + origin.y + y) * shape.width + origin.x
                        for x in 0..<tile.width * scale { values[to + x] = image.values[from + x / scale] }
                    }
                }
            }
        }
        return Image(shape: shape, values: values)
    }

    package func png() throws(ImageError) -> Data { try PNG.encode(image()) }
}

/// One image in memory: `shape.count` values in [−1, 1], channel by channel, each row by row (CHW).
package struct Image: Sendable {
    package let shape: ImageShape
    package let values: [Float]

    /// - Precondition: `values` has `shape.count` values.
    package init(shape: ImageShape, values: [Float]) {
        precondition(values.count == shape.count, "\(values.count) values for an image of \(shape)")
        self.shape = shape
        self.values = values
    }

    /// From bytes as image files hold them: row by row, the channels of a pixel side by side (HWC), 0…255.
    init(shape: ImageShape, interleaved pixels: [UInt8]) {
        let plane = shape.height * shape.width
        var values = [Float](repeating: 0, count: shape.count)
        for channel in 0..<shape.channels {
            for position in 0..<plane {
                values[channel * plane + position] = Float(pixels[position * shape.channels + channel]) / 127.5 - 1
            }
        }
        self.init(shape: shape, values: values)
    }

    /// Its first channels.
    func leading(_ channels: Int) -> Image {
        guard channels < shape.channels else { return self }
        let shape = ImageShape(channels: channels, height: shape.height, width: shape.width)
        return Image(shape: shape, values: Array(values[..<shape.count]))
    }

    /// The way back: clamped to [−1, 1] and rounded to the nearest of 256 levels. Not a number becomes 0.
    func interleaved() -> [UInt8] {
        let plane = shape.height * shape.width
        var pixels = [UInt8](repeating: 0, count: shape.count)
        for channel in 0..<shape.channels {
            for position in 0..<plane {
                let value = values[channel * plane + position]
                let level = value.isNaN ? 0 : (min(max(value, -1), 1) + 1) * 127.5
                pixels[position * shape.channels + channel] = UInt8(level.rounded())
            }
        }
        return pixels
    }
}

/// The shape of an image as the networks see it: channels, height, width.
package struct ImageShape: Hashable, Sendable, CustomStringConvertible {
    /// 1 (grey), 3 (red, green, blue), or any other number, as latents have: those lie in safetensors files.
    package let channels: Int
    package let height: Int
    package let width: Int

    package init(channels: Int, height: Int, width: Int) {
        self.channels = channels
        self.height = height
        self.width = width
    }

    /// Values in one image.
    package var count: Int { channels * height * width }

    package var description: String { "\(channels)×\(height)×\(width)" }
}

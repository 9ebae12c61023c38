internal import CImages
internal import Foundation

/// JPEG through the shim `CImages`, which keeps libjpeg's longjmp to itself.
enum JPEG {
    static let signature: [UInt8] = [0xFF, 0xD8, 0xFF]

    /// `check` sees the header's shape and throws before anything of that size is allocated.
    static func decode(
        _ bytes: Data, named name: String, check: (ImageShape) throws(ImageError) -> Void
    ) throws(ImageError) -> Pixels {
        let source = [UInt8](bytes)
        var size = cimages_jpeg_size()
        var message = [CChar](repeating: 0, count: Int(CIMAGES_MESSAGE_LENGTH))
        guard cimages_jpeg_read_size(source, source.count, &size, &message) == 0 else {
            throw damaged(name, message)
        }
        let shape = ImageShape(channels: Int(size.channels), height: Int(size.height), width: Int(size.width))
        try check(shape)
        var pixels = [UInt8](repeating: 0, count: shape.count)
        guard cimages_jpeg_decode(source, source.count, &pixels, pixels.count, &message) == 0 else {
            throw damaged(name, message)
        }
        return Pixels(channels: shape.channels, height: shape.height, width: shape.width, bytes: pixels)
    }

    private static func damaged(_ name: String, _ message: [CChar]) -> ImageError {
        let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return ImageError(.unreadable, "\(name) is a damaged JPEG: \(text)")
    }
}

internal import CPNG
package import Foundation

/// PNG through libpng's simplified interface, which keeps its longjmp to itself.
package enum PNG {
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// `check` sees the header's shape and throws before anything of that size is allocated.
    static func decode(
        _ bytes: Data, named name: String, check: (ImageShape) throws(ImageError) -> Void
    ) throws(ImageError) -> Pixels {
        guard isComplete(bytes) else { throw ImageError(.unreadable, "\(name) is a damaged PNG: it ends early") }
        var image = png_image()
        image.version = png_uint_32(PNG_IMAGE_VERSION)
        defer { png_image_free(&image) }

        // libpng reads from this memory until png_image_finish_read is done.
        let source = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { source.deallocate() }
        bytes.copyBytes(to: source)

        guard png_image_begin_read_from_memory(&image, source.baseAddress, source.count) != 0 else {
            throw damaged(name, image)
        }
        let isColour = image.format & png_uint_32(PNG_FORMAT_FLAG_COLOR) != 0
        let shape = ImageShape(channels: isColour ? 3 : 1, height: Int(image.height), width: Int(image.width))
        try check(shape)

        image.format = isColour ? png_uint_32(PNG_FORMAT_FLAG_COLOR) : 0
        image.flags |= png_uint_32(PNG_IMAGE_FLAG_16BIT_sRGB)  // 16-bit files hold the same curve as 8-bit ones
        var pixels = [UInt8](repeating: 0, count: shape.count)
        var white = png_color(red: 255, green: 255, blue: 255)
        guard png_image_finish_read(&image, &white, &pixels, png_int_32(shape.width * shape.channels), nil) != 0 else {
            throw damaged(name, image)
        }
        return Pixels(channels: shape.channels, height: shape.height, width: shape.width, bytes: pixels)
    }

    /// Encodes at 8 bits, grey or RGB, without loss. Of other than 1 or 3 channels the first three are shown, of two the first.
    package static func encode(_ image: Image) throws(ImageError) -> Data {
        let image = image.leading(image.shape.channels < 3 ? 1 : 3)
        var header = png_image()
        header.version = png_uint_32(PNG_IMAGE_VERSION)
        header.width = png_uint_32(image.shape.width)
        header.height = png_uint_32(image.shape.height)
        header.format = image.shape.channels == 3 ? png_uint_32(PNG_FORMAT_FLAG_COLOR) : 0
        defer { png_image_free(&header) }
        let pixels = image.interleaved()
        let stride = png_int_32(image.shape.width * image.shape.channels)

        // Raw pixels, a filter byte a row and the chunks around them: deflate adds at most 5 bytes a 16 KiB block.
        var size = png_alloc_size_t(pixels.count + pixels.count / 1000 + image.shape.height * 2 + 4096)
        var bytes = Data(count: Int(size))
        let written = bytes.withUnsafeMutableBytes {
            png_image_write_to_memory(&header, $0.baseAddress, &size, 0, pixels, stride, nil)
        }
        guard written != 0 else {
            throw ImageError(.unreadable, "an image of \(image.shape) cannot be written as PNG: \(message(header))")
        }
        return bytes.prefix(Int(size))
    }

    /// A PNG is chunks (length, type, data, checksum) up to IEND. The simplified reader stops after the last pixel and
    /// would not notice a file that was cut short behind it.
    private static func isComplete(_ bytes: Data) -> Bool {
        let bytes = [UInt8](bytes)
        var position = signature.count
        while position + 12 <= bytes.count {
            let length = bytes[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
            guard length <= bytes.count - position - 12 else { return false }
            if bytes[position + 4..<position + 8].elementsEqual("IEND".utf8) { return true }
            position += 12 + length
        }
        return false
    }

    private static func damaged(_ name: String, _ image: png_image) -> ImageError {
        ImageError(.unreadable, "\(name) is a damaged PNG: \(message(image))")
    }

    private static func message(_ image: png_image) -> String {
        withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

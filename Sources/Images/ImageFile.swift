package import Foundation

/// An image file's pixels before they become an `Image`.
struct Pixels {
    let channels: Int
    let height: Int
    let width: Int
    /// Rows of `height × width × channels` bytes.
    let bytes: [UInt8]
}

/// Reads PNG and JPEG files of a shape that is known beforehand.
///
///     let digit = try ImageFile.read(url, shape: ImageShape(channels: 1, height: 8, width: 8))
///
/// The header is compared with the shape before anything is decoded, so a small file that would unpack to a huge picture
/// costs nothing. A grey file serves a run in colour (its channel is repeated); colour never becomes grey unasked.
/// What is transparent is laid over white. Depths of 16 bits are read at 8.
package enum ImageFile {
    /// More than any image of a run can need, less than what hurts.
    static let largestFile = 64 << 20

    /// The endings that a folder is searched for.
    static let endings: Set<String> = ["png", "jpg", "jpeg"]

    package static func read(_ url: URL, shape: ImageShape) throws(ImageError) -> Image {
        try decode(try bytes(of: url), named: url.path, shape: shape)
    }

    /// Decodes a file's content; `name` is for messages.
    package static func decode(_ bytes: Data, named name: String, shape: ImageShape) throws(ImageError) -> Image {
        let pixels: Pixels
        let fits = { (found: ImageShape) throws(ImageError) in try check(found, against: shape, name: name) }
        if bytes.starts(with: PNG.signature) {
            pixels = try PNG.decode(bytes, named: name, check: fits)
        } else if bytes.starts(with: JPEG.signature) {
            pixels = try JPEG.decode(bytes, named: name, check: fits)
        } else {
            throw ImageError(.unreadable, "\(name) is neither PNG nor JPEG")
        }
        let own = Image(
            shape: ImageShape(channels: pixels.channels, height: shape.height, width: shape.width),
            interleaved: pixels.bytes)
        guard pixels.channels < shape.channels else { return own }
        return Image(shape: shape, values: Array(repeatElement(own.values, count: shape.channels).joined()))
    }

    private static func check(_ found: ImageShape, against wanted: ImageShape, name: String) throws(ImageError) {
        let channelsFit = found.channels == wanted.channels || (found.channels == 1 && wanted.channels == 3)
        guard found.height == wanted.height, found.width == wanted.width, channelsFit else {
            throw ImageError(
                .wrongShape,
                "\(name) is \(found) (channels × height × width), and the run's images are \(wanted)")
        }
    }

    static func bytes(of url: URL) throws(ImageError) -> Data {
        do {
            let size = try url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
            guard size <= largestFile else {
                throw ImageError(.unreadable, "\(url.path) has \(size) bytes, which no image of a run needs")
            }
            return try Data(contentsOf: url)
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError(.unreachable, "\(url.path) cannot be read: \(error.localizedDescription)")
        }
    }
}

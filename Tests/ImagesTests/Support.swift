import Foundation
import Images
import Safetensors

/// The pictures that `Tests/Goldens/images/make_images.py` made.
let goldens = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Goldens/images")

let grey8 = ImageShape(channels: 1, height: 8, width: 8)

/// Runs the body in a folder of its own, which is gone afterwards.
func inTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "images-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}

/// A grey 8×8 image whose every value is one of the 256 that PNG can hold.
func ramp(from start: Int) -> Image {
    Image(shape: grey8, values: (0..<64).map { Float((start + $0 * 3) % 256) / 127.5 - 1 })
}

/// The error's code and message, or nil when nothing was thrown.
func failure<Result>(_ body: () throws -> Result) -> ImageError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? ImageError
    }
}

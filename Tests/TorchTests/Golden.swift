import Foundation
import Safetensors

@testable import Torch

/// A file under `Tests/Goldens`, made there by `torch_ops.py`.
func golden(_ name: String) throws -> SafetensorsArchive {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try SafetensorsArchive(contentsOf: folder.appending(path: "Goldens/\(name).safetensors"))
}

/// The largest difference between two equally long lists; infinite where the lengths differ or something is NaN.
func difference(_ a: [Double], _ b: [Double]) -> Double {
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { ($1.0 - $1.1).isNaN ? .infinity : max($0, abs($1.0 - $1.1)) }
}

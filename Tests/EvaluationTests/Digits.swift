import Foundation
import Safetensors
import Torch

@testable import Evaluation

/// The 1,797 digits in the repository, scaled to [−1, 1].
struct Digits {
    let all: LabelledImages
    let trainingRows: [Int]
    let heldOutRows: [Int]

    var training: LabelledImages { all.selecting(trainingRows) }
    var heldOut: LabelledImages { all.selecting(heldOutRows) }

    init() throws {
        let file = try SafetensorsArchive(contentsOf: repository.appending(path: "topology/digits/digits.safetensors"))
        let pixels = try Tensor(file.entry("images")).to(.float32) / 8 - 1
        all = try LabelledImages(images: pixels.unsqueezed(1), labels: file.integers("labels"), classes: 10)
        let split = try file.integers("split")
        trainingRows = split.indices.filter { split[$0] == 0 }
        heldOutRows = split.indices.filter { split[$0] == 1 }
    }
}

let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// ᾱ_t of the cosine schedule with T = 1000 and betas capped at .999, written down apart from the project's own
/// schedule.
func cosineSignal(_ t: Int) -> Double {
    func f(_ u: Double) -> Double {
        let angle = (u + 0.008) / 1.008 * Double.pi / 2
        return cos(angle) * cos(angle)
    }
    var signal = 1.0
    for step in 0..<t {
        let beta = 1 - f(Double(step + 1) / 1000) / f(Double(step) / 1000)
        signal *= 1 - min(0.999, beta)
    }
    return signal
}

/// √ᾱ·x + √(1 − ᾱ)·ε
func masked(_ images: Tensor, signal: Double, seed: UInt64) -> Tensor {
    let noise = Tensor(CounterRandom(seed: seed).normals(images.count, purpose: .start), shape: images.shape)
    return images * signal.squareRoot() + noise * (1 - signal).squareRoot()
}

import Chain
import Diffusion
import Foundation
import Torch

/// ε* of x_0 ~ N(mean, variance·I), by the formula: the network that a perfect training would end in.
struct GaussianNetwork: DenoisingNetwork {
    let schedule: Schedule
    let mean: Double
    let variance: Double
    var classEmbeddings: Int? { nil }

    func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
        let steps = timesteps.integers.map { $0 + 1 }
        // E[ε | x_t] = √(1−ᾱ)·(x_t − √ᾱ·mean)/(ᾱ·variance + 1 − ᾱ)
        let shift = steps.map { schedule.alphaBar($0).squareRoot() * mean }
        let gain = steps.map { t in
            schedule.noiseShare(t).squareRoot() / (schedule.alphaBar(t) * variance + schedule.noiseShare(t))
        }
        return (x - x.perRow(shift)) * x.perRow(gain)
    }

    func name(_ parameters: inout ParameterNames) {}
}

/// Says one thing with a label and another without: enough to see what guidance does.
struct LabelNetwork: DenoisingNetwork {
    let rows: Int
    var classEmbeddings: Int? { rows }

    func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
        let said = (labels?.integers ?? []).map { $0 == rows - 1 ? 0.25 : 1 + Double($0) }
        return x * 0 + x.perRow(said)
    }

    func name(_ parameters: inout ParameterNames) {}
}

/// ε̂ for points in the plane: three hidden layers over the point, waves of t and an embedding of the label. x [N, 2] → [N, 2].
struct PlaneNetwork: DenoisingNetwork {
    let entry: Linear
    let time: Linear
    let label: Embedding
    let hidden: Linear
    let last: Linear
    let out: Linear
    let timesteps: Int
    let classEmbeddings: Int?

    init(labels: Int, timesteps: Int, width: Int = 96, _ source: inout ParameterSource) {
        entry = Linear(2, width, &source)
        time = Linear(12, width, &source)
        label = Embedding(labels + 1, width, &source)
        hidden = Linear(width, width, &source)
        last = Linear(width, width, &source)
        out = Linear(width, 2, &source)
        self.timesteps = timesteps
        classEmbeddings = labels + 1
    }

    func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
        let u = timesteps.to(.float32).unsqueezed(1) / Double(self.timesteps)
        let waves = Tensor.concatenated([1.0, 2, 4, 8, 16, 32].flatMap { [(u * $0).sin(), (u * $0).cos()] }, 1)
        var h = entry(x) + time(waves)
        if let labels { h = h + label(labels) }
        h = hidden(h.silu())
        h = last(h.silu())
        return out(h.silu())
    }

    func name(_ parameters: inout ParameterNames) {
        parameters.add("entry", entry)
        parameters.add("time", time)
        parameters.add("label", label)
        parameters.add("hidden", hidden)
        parameters.add("last", last)
        parameters.add("out", out)
    }
}

/// The largest difference of two tensors relative to the larger of 1 and the truth's largest value.
func difference(_ a: Tensor, _ truth: Tensor) -> Double {
    (a - truth).abs().max().item / max(1, truth.abs().max().item)
}

func goldens(_ folder: String) -> URL {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Goldens/\(folder)").standardizedFileURL
}

/// A key stream for masks: any well-mixed bytes will do in a test.
func mask(seed: UInt64, images: Int, imageShape: [Int], on schedule: Schedule? = nil) throws -> MaskingNoise {
    let schedule = try schedule ?? Schedule(.cosine(), timesteps: 1000)
    let count = MaskingNoise.byteCount(imageShape: imageShape, on: schedule)
    var streams: [[UInt8]] = []
    for image in 0..<images {
        var words = CounterRandom(seed: seed).sequence(sample: UInt32(image), purpose: .evaluation)
        streams.append((0..<count).map { _ in UInt8.random(in: .min ... .max, using: &words) })
    }
    return try withBuffers(streams[...], []) { try MaskingNoise(streams: $0, imageShape: imageShape, on: schedule) }
}

private func withBuffers<Result>(
    _ rest: ArraySlice<[UInt8]>, _ buffers: [UnsafeRawBufferPointer],
    _ body: ([UnsafeRawBufferPointer]) throws -> Result
) rethrows -> Result {
    // A copy into one allocation would do as well, but the recursion keeps every pointer valid.
    guard let first = rest.first else { return try body(buffers) }
    return try first.withUnsafeBytes { try withBuffers(rest.dropFirst(), buffers + [$0], body) }
}

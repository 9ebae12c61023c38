import Chain
import Diffusion
import Foundation
import Testing
import Torch

struct MaskingTests {
    private let schedule: Schedule
    private let cut: Cut

    init() throws {
        schedule = try Schedule(.cosine(), timesteps: 1000)
        cut = try Cut(400, on: schedule)
    }

    /// x_ζ ~ N(√ᾱ·x_0, (1 − ᾱ)·I), measured over many masks of one image.
    @Test func meanAndVarianceAreTheClosedForm() throws {
        let count = 4000
        let pixels: [Float] = [-1, -0.5, 0, 0.25, 0.5, 1]
        let images = try PrivateImages((0..<count).flatMap { _ in pixels }, shape: [count, 1, 2, 3])
        let masked = mask(images, at: cut, on: schedule, with: try mask(seed: 1, images: count, imageShape: [1, 2, 3]))
        let mean = masked.x.mean(0).doubles, variance = masked.x.variance(0).doubles
        let bar = schedule.alphaBar(400)
        for (index, pixel) in pixels.enumerated() {
            // Four standard errors of the mean and of the variance.
            #expect(abs(mean[index] - bar.squareRoot() * Double(pixel)) < 4 * ((1 - bar) / Double(count)).squareRoot())
            #expect(abs(variance[index] / (1 - bar) - 1) < 4 * (2 / Double(count)).squareRoot())
        }
    }

    @Test func masksAreNormalAndIndependent() throws {
        let black = try PrivateImages([Float](repeating: 0, count: 200 * 64), shape: [200, 1, 8, 8])
        let masked = mask(black, at: cut, on: schedule, with: try mask(seed: 2, images: 200, imageShape: [1, 8, 8]))
        let z = masked.x.reshaped(200, 64) / schedule.noiseShare(400).squareRoot()
        let values = z.doubles
        let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 } / Double(values.count)
        #expect(abs(fourth - 3) < 0.3)
        #expect(abs(Double(values.count { abs($0) > 1.96 }) / Double(values.count) - 0.05) < 0.01)
        // Two images never share a mask: their masks are as far apart as strangers are, √(2·64).
        let apart = z.distances(to: z) + Tensor.eye(200) * 100
        #expect(apart.min().item > 6)
    }

    @Test func sameStreamSameMask() throws {
        let images = try PrivateImages([0.1, 0.2, 0.3, 0.4], shape: [1, 1, 2, 2])
        let first = mask(images, at: cut, on: schedule, with: try mask(seed: 3, images: 1, imageShape: [1, 2, 2]))
        let again = mask(images, at: cut, on: schedule, with: try mask(seed: 3, images: 1, imageShape: [1, 2, 2]))
        let other = mask(images, at: cut, on: schedule, with: try mask(seed: 4, images: 1, imageShape: [1, 2, 2]))
        #expect(first.x.floats == again.x.floats)
        #expect(first.x.floats != other.x.floats)
    }

    /// Noising a release forward has the distribution of masking at the later cut.
    @Test func laterCutsComeFromTheRelease() throws {
        let later = try Cut(700, on: schedule), count = 4000
        let images = try PrivateImages([Float](repeating: 0.8, count: count), shape: [count, 1, 1, 1])
        let masked = mask(images, at: cut, on: schedule, with: try mask(seed: 5, images: count, imageShape: [1, 1, 1]))
        let noised = masked.noised(
            to: later, on: schedule, with: try mask(seed: 6, images: count, imageShape: [1, 1, 1]))
        #expect(noised.cut == later)
        let bar = schedule.alphaBar(700)
        #expect(abs(noised.x.mean().item - bar.squareRoot() * 0.8) < 4 * ((1 - bar) / Double(count)).squareRoot())
        #expect(abs(noised.x.variance().item / (1 - bar) - 1) < 4 * (2 / Double(count)).squareRoot())
        // It is made of the release: what the later one knows of the image goes through the earlier one's noise.
        let a = masked.x - masked.x.mean(), b = noised.x - noised.x.mean()
        let correlation = ((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt()).item
        let step = ForwardStep(from: 400, to: 700, on: schedule)
        let expected = (step.signal * schedule.noiseShare(400) / schedule.noiseShare(700)).squareRoot()
        #expect(abs(correlation - expected) < 0.05)
    }

    /// Offset noise is part of the mask: a channel's mean has 1 + o²·pixels times the variance, each value 1 + o², and channels differ.
    @Test func offsetNoiseIsInTheMask() throws {
        let o = 0.4, count = 4_000
        let schedule = try Schedule(.cosine(), timesteps: 1000, offsetNoise: o)
        let cut = try Cut(600, on: schedule), share = schedule.noiseShare(600)
        let images = try PrivateImages([Float](repeating: 0, count: count * 8), shape: [count, 2, 2, 2])
        let noise = try mask(seed: 8, images: count, imageShape: [2, 2, 2], on: schedule)
        let masked = mask(images, at: cut, on: schedule, with: noise).x
        let tolerance = 5 * (2 / Double(count)).squareRoot()
        #expect(abs(masked.variance().item / share / (1 + o * o) - 1) < tolerance)
        let means = masked.mean(2, 3)
        #expect(abs(means.variance().item * 4 / share / (1 + 4 * o * o) - 1) < tolerance)
        #expect(abs((means.selected(1, 0) * means.selected(1, 1)).mean().item) < 0.03)
        // The same values first: a run without offset noise masks as it always did.
        let plain = try Schedule(.cosine(), timesteps: 1000)
        #expect(
            MaskingNoise.byteCount(imageShape: [2, 2, 2], on: schedule)
                > MaskingNoise.byteCount(imageShape: [2, 2, 2], on: plain))
    }

    @Test func refusesWhatIsNoImage() throws {
        for (values, shape) in [
            ([Float.nan], [1, 1, 1, 1]), ([1.5], [1, 1, 1, 1]), ([-.infinity], [1, 1, 1, 1]), ([0, 0], [1, 1, 1, 1]),
            ([], [0, 1, 1, 1]),
            ([0], [1, 1, 1]),
        ] as [([Float], [Int])] {
            #expect { try PrivateImages(values, shape: shape) } throws: { ($0 as? DiffusionError)?.code == .badImages }
        }
        for x in [
            Tensor([Float.nan], shape: [1, 1, 1, 1]), Tensor([Float(0)], shape: [1, 1, 1]),
            Tensor([0], shape: [1, 1, 1, 1]),
        ] {
            #expect { try MaskedImages(received: x, at: cut, imageShape: [1, 1, 1]) } throws: {
                ($0 as? DiffusionError)?.code == .badImages
            }
        }
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        #expect { try MaskingNoise(streams: [empty], imageShape: [1, 1, 1], on: schedule) } throws: {
            ($0 as? DiffusionError)?.code == .badImages
        }
    }

    @Test func privateImagesShowNothing() throws {
        let images = try PrivateImages([0.125, -0.125], shape: [2, 1, 1, 1])
        #expect("\(images)" == "2 private images")
        #expect(images.rows([1]).count == 1)
    }
}

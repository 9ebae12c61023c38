package import Chain
package import Torch

/// x_ζ: images noised to their cut, the only form in which they leave their owner.
///
/// Made by ``mask(_:at:on:with:)`` at the client and from received bytes at the server.
package struct MaskedImages {
    /// [N, C, H, W]
    package let x: Tensor
    package let cut: Cut

    fileprivate init(x: Tensor, cut: Cut) {
        self.x = x
        self.cut = cut
    }

    /// Masked images from another party, or from the spool that holds what was masked before.
    ///
    /// - Throws: `badImages` unless they have the run's shape and are finite.
    package init(received x: Tensor, at cut: Cut, imageShape: [Int]) throws(DiffusionError) {
        try check(x, imageShape: imageShape)
        self.init(x: x.to(.float32), cut: cut)
    }

    package var count: Int { x.size(0) }

    /// The same images at a later cut, from these and not from the originals: it shows nothing that these do not.
    ///
    ///     x_t = √r·x_ζ + √(1−r)·u                     docs/maths.md (2.2)
    ///
    /// - Precondition: `later` > `cut`, as many masks as images, made for this schedule.
    package func noised(to later: Cut, on schedule: Schedule, with noise: MaskingNoise) -> MaskedImages {
        precondition(noise.offset == schedule.offsetNoise, "the masks were made for another schedule")
        let step = ForwardStep(from: cut.timestep, to: later.timestep, on: schedule)
        return MaskedImages(x: x * step.signalScale + noise.epsilon * step.noiseScale, cut: later)
    }
}

/// x_ζ = √ᾱ_ζ·x_0 + √(1−ᾱ_ζ)·ε                        docs/maths.md (2.1)
///
/// Called by `Client/Release` and nowhere else: it writes ledger and spool before anything of the result is sealed.
///
/// - Precondition: as many masks as images, of the same shape, made for this schedule.
package func mask(_ images: PrivateImages, at cut: Cut, on schedule: Schedule, with noise: MaskingNoise) -> MaskedImages
{
    precondition(images.x.shape == noise.epsilon.shape, "one mask is wanted for each image")
    precondition(noise.offset == schedule.offsetNoise, "the masks were made for another schedule")
    let signal = schedule.alphaBar(cut.timestep).squareRoot(), share = schedule.noiseShare(cut.timestep).squareRoot()
    return MaskedImages(x: images.x * signal + noise.epsilon * share, cut: cut)
}

/// - Throws: `badImages` unless x is [N, C, H, W] of floating-point numbers with this [C, H, W], all finite.
func check(_ x: Tensor, imageShape: [Int]) throws(DiffusionError) {
    let shape = x.shape
    guard shape.count == 4, Array(shape.dropFirst()) == imageShape, x.dtype.isFloatingPoint else {
        throw DiffusionError(.badImages, "images of shape \(imageShape) are wanted, not a tensor of shape \(shape)")
    }
    guard x.isFinite else { throw DiffusionError(.badImages, "an image holds NaN or infinity") }
}

import Foundation
package import Torch

/// What masked images give away, measured by two attacks that anyone who holds them can make.
///
///     x_ζ = √ᾱ·x_0 + √(1 − ᾱ)·ε
///
/// Both know ᾱ, which is public. Neither bounds what a better attacker could do: they show what is possible, not what
/// is impossible.
package struct Disclosure: Hashable, Sendable {
    /// Share of the masked images whose label a classifier reads off, trained on the attacker's own images noised in
    /// the same way.
    package let labelAccuracy: Double
    /// What a guess without looking gets right.
    package let labelChance: Double
    /// Share of the masked images whose original is picked out of all candidates at the first try.
    package let reidentification: Double
    /// How many images there were to pick from.
    package let candidates: Int

    /// - Parameters:
    ///   - masked: x_ζ and the true labels.
    ///   - originals: for each masked image the row of its original among the candidates.
    ///   - candidates: [N, C, H, W], all images the attacker considers.
    ///   - attacker: clean images of the attacker's own, of the same kind but not the masked ones.
    ///   - signal: ᾱ at the cut, in (0, 1].
    package static func measure(
        masked: LabelledImages, originals: [Int], candidates: Tensor, attacker: LabelledImages, signal: Double,
        seed: UInt64
    ) throws(EvaluationError) -> Disclosure {
        Disclosure(
            labelAccuracy: try labelAccuracy(masked: masked, attacker: attacker, signal: signal, seed: seed),
            labelChance: masked.chance,
            reidentification: try reidentification(
                masked: masked.images, originals: originals, candidates: candidates, signal: signal),
            candidates: candidates.size(0))
    }

    /// The first attack alone. Cost: training a small classifier, 40 passes over the attacker's images, each with new
    /// noise.
    package static func labelAccuracy(
        masked: LabelledImages, attacker: LabelledImages, signal: Double, seed: UInt64
    ) throws(EvaluationError) -> Double {
        try check(signal)
        guard attacker.images.shape.dropFirst() == masked.images.shape.dropFirst(), attacker.classes == masked.classes
        else {
            throw EvaluationError(
                .mismatch, "The attacker's images \(attacker.images) are not of the kind of \(masked.images).")
        }
        var training = ClassifierTraining(seed: seed)
        training.epochs = 40
        let random = CounterRandom(seed: seed)
        let classifier = training.train(on: attacker) { images, step in
            let noise = Tensor(random.normals(images.count, sample: step, purpose: .evaluation), shape: images.shape)
            return images * signal.squareRoot() + noise * (1 - signal).squareRoot()
        }
        return classifier.accuracy(on: masked)
    }

    /// The second attack alone: the likelihood of x_ζ given x_0 falls with ‖x_ζ − √ᾱ·x_0‖, so the nearest scaled
    /// candidate is the most likely original.
    package static func reidentification(
        masked: Tensor, originals: [Int], candidates: Tensor, signal: Double
    ) throws(EvaluationError) -> Double {
        try check(signal)
        guard masked.size(0) == originals.count, masked.shape.dropFirst() == candidates.shape.dropFirst(),
            !originals.isEmpty,
            originals.allSatisfy({ (0..<candidates.size(0)).contains($0) })
        else {
            throw EvaluationError(
                .mismatch,
                "\(originals.count) originals for the masked images \(masked) among the candidates \(candidates).")
        }
        let scaled = candidates.flattened(1) * signal.squareRoot()
        let picked = inPieces(masked.flattened(1)) { $0.distances(to: scaled).argmin(1) }.integers
        return Double(zip(picked, originals).count { $0 == $1 }) / Double(originals.count)
    }

    /// What several independent masks of the same images say together: an attacker who has them all loses nothing by this.
    ///
    ///     x = Σ √ᾱ_i/(1 − ᾱ_i)·x_i / √(S·(1 + S)),    S = Σ ᾱ_i/(1 − ᾱ_i)
    ///
    /// Each mask counts by its signal-to-noise ratio; the result is distributed as one mask whose ratio is the sum S, that is a
    /// mask at ζ_eff (docs/maths.md 6).
    ///
    /// - Parameter masks: of one shape, each with its ᾱ, in (0, 1).
    /// - Returns: x, and its ᾱ = S/(1 + S).
    package static func combined(_ masks: [(x: Tensor, signal: Double)]) throws(EvaluationError) -> (
        x: Tensor, signal: Double
    ) {
        guard let first = masks.first, masks.allSatisfy({ $0.x.shape == first.x.shape }) else {
            throw EvaluationError(.mismatch, "Masks of one set of images have one shape, and there is at least one.")
        }
        for mask in masks {
            try check(mask.signal)
            guard mask.signal < 1 else {
                throw EvaluationError(.badSignal, "A mask without noise is the image itself.")
            }
        }
        let ratio = masks.reduce(0) { $0 + $1.signal / (1 - $1.signal) }
        let sum = masks.dropFirst().reduce(first.x * (first.signal.squareRoot() / (1 - first.signal))) {
            $0 + $1.x * ($1.signal.squareRoot() / (1 - $1.signal))
        }
        return (sum / (ratio * (1 + ratio)).squareRoot(), ratio / (1 + ratio))
    }

    private static func check(_ signal: Double) throws(EvaluationError) {
        guard signal > 0, signal <= 1 else {
            throw EvaluationError(.badSignal, "ᾱ = \(signal): it lies in (0, 1], 1 being no noise at all.")
        }
    }
}

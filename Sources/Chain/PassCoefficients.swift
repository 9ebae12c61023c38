internal import Foundation

/// What a pass makes of x, of what the network says about it, and of what the pass before left:
///
///     x' = x·x + image·x̂_0 + output·out + memory·m + noise·z        z ~ N(0, I)
///     m' = keep.x·x + keep.image·x̂_0                                nil: nothing is kept
///
/// x̂_0 is thresholded where that is asked for, `out` is the network's own words. Every sampler is such a table of numbers: docs/maths.md (5.2)–(5.7).
package struct PassCoefficients: Hashable, Sendable {
    package struct Memory: Hashable, Sendable {
        package let x: Double
        package let image: Double
    }

    package var x: Double
    package var image: Double
    package var output = 0.0
    package var memory = 0.0
    package var noise = 0.0
    package var keep: Memory?
}

extension SamplePass {
    package func coefficients(on schedule: Schedule, predicting prediction: Prediction) -> PassCoefficients {
        switch plan.sampler {
        case .ddpm(let variance): ancestral(variance, on: schedule)
        case .ddim(let eta, let rawNoise, let stride, let end):
            implicit(
                eta, rawNoise ? prediction : nil, to: max(end, stride.map { max(0, from - $0) } ?? to), on: schedule)
        case .dpmSolver: multistep(on: schedule)
        case .euler: implicit(0, nil, to: to, on: schedule)
        case .heun(let fromNoise):
            isCorrection ? corrector(fromNoise: fromNoise, on: schedule) : predictor(on: schedule)
        }
    }

    /// (5.2)
    private func ancestral(_ variance: Sampler.Variance, on schedule: Schedule) -> PassCoefficients {
        let posterior = Posterior(of: to, given: from, on: schedule)
        let spread =
            switch variance {
            case .small: posterior.variance
            // As in diffusers, which adds some even on the way to the image, unless from the last timestep of all.
            case .large: from == 1 ? 0 : ForwardStep(from: to, to: from, on: schedule).noise
            }
        return PassCoefficients(
            x: posterior.meanFromX, image: posterior.meanFromImage, noise: spread.squareRoot())
    }

    /// (5.3). √(1 − ᾱ_s − σ²)·ε̂ with σ² = η²·(1 − ᾱ_s)·λ: the root is taken of (1 − ᾱ_s)·(1 − η²·λ), no difference of near equals.
    private func implicit(_ eta: Double, _ raw: Prediction?, to: Int, on schedule: Schedule) -> PassCoefficients {
        // A step that ends at 1 may begin there.
        let added = to < from ? ForwardStep(from: to, to: from, on: schedule).addedShare : 0
        let direction = (schedule.noiseShare(to) * (1 - eta * eta * added)).squareRoot()
        let noise = eta * (schedule.noiseShare(to) * added).squareRoot()
        let signal = schedule.alphaBar(to).squareRoot()
        if let said = raw?.coefficients(at: from, on: schedule) {
            return PassCoefficients(
                x: direction * said.noiseFromX, image: signal, output: direction * said.noiseFromOutput, noise: noise)
        }
        // ε̂ = (x_t − √ᾱ_t·x̂_0)/√(1 − ᾱ_t)
        let scale = direction / schedule.noiseShare(from).squareRoot()
        return PassCoefficients(
            x: scale, image: signal - scale * schedule.alphaBar(from).squareRoot(), noise: noise)
    }

    /// (5.5), with h = λ_s − λ_t where λ = log √(ᾱ/(1 − ᾱ)). First order at a model's first step, where it remembers nothing,
    /// and on the way to the image, where h has no end.
    private func multistep(on schedule: Schedule) -> PassCoefficients {
        let h = schedule.halfLogSNR(to) - schedule.halfLogSNR(from)
        let scale = (schedule.noiseShare(to) / schedule.noiseShare(from)).squareRoot()
        let weight = -schedule.alphaBar(to).squareRoot() * expm1(-h)
        let keep = PassCoefficients.Memory(x: 0, image: 1)
        guard let before, to > 0 else { return PassCoefficients(x: scale, image: weight, keep: keep) }
        let slope = h / (schedule.halfLogSNR(from) - schedule.halfLogSNR(before)) / 2
        return PassCoefficients(
            x: scale, image: weight * (1 + slope), memory: -weight * slope, keep: keep)
    }

    /// (5.6): Euler's step, and ε̂, which is the slope of x/√ᾱ over √((1 − ᾱ)/ᾱ).
    private func predictor(on schedule: Schedule) -> PassCoefficients {
        var step = implicit(0, nil, to: to, on: schedule)
        if isHalf {
            let noise = schedule.noiseShare(from).squareRoot()
            step.keep = .init(x: 1 / noise, image: -schedule.alphaBar(from).squareRoot() / noise)
        }
        return step
    }

    /// (5.7): x_s + g·(ε̂_s − ε̂_t), with x_s from the pass before and half of the step's length for g.
    private func corrector(fromNoise: Bool, on schedule: Schedule) -> PassCoefficients {
        // Asked in vain: so a plan's passes do not depend on its schedule.
        guard fromNoise || schedule.snr(from) >= 1e-6 else { return PassCoefficients(x: 1, image: 0) }
        let signal = schedule.alphaBar(to).squareRoot(), noise = schedule.noiseShare(to).squareRoot()
        let half = (noise - signal * (schedule.noiseShare(from) / schedule.alphaBar(from)).squareRoot()) / 2
        return PassCoefficients(x: 1 + half / noise, image: -half * signal / noise, memory: -half)
    }
}

internal import Foundation

/// How much of an image is left at each timestep: ᾱ_0 = 1 > ᾱ_1 > … > ᾱ_T.
///
///     let schedule = try Schedule(.cosine(), timesteps: 1000)
///     schedule.alphaBar(500)      // .4938: x_500 = √.4938·x_0 + √.5062·ε
///     schedule.decibels(500)      // −.11
///
/// Everything is kept as log ᾱ in Double, so that shares like 1 − ᾱ_t/ᾱ_s keep their digits when s and t are neighbours.
/// Timestep t here is timestep t − 1 in diffusers and at the input of a network; t = 0 is the image itself.
///
/// Timesteps passed to the methods must lie in 0…T: foreign ones are checked before, by ``Cut`` or ``TimestepList``.
package struct Schedule: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// β_t from `start` to `end` in equal steps (Ho et al. 2020). `end` = 1 makes ᾱ_T = 0.
        case linear(start: Double = 1e-4, end: Double = 0.02)
        /// √β_t from √`start` to √`end` in equal steps: Stable Diffusion's, diffusers' `scaled_linear`.
        case scaledLinear(start: Double = 0.00085, end: Double = 0.012)
        /// ᾱ(u) = cos²((u + s)/(1 + s)·π/2) (Nichol & Dhariwal 2021), as diffusers' `squaredcos_cap_v2` for s = .008.
        case cosine(offset: Double = 0.008)
        /// ᾱ(u) = (σ(end/τ) − σ((u·(end − start) + start)/τ)) / (σ(end/τ) − σ(start/τ)) (Jabri et al. 2022, Algorithm 1).
        case sigmoid(start: Double = -3, end: Double = 3, tau: Double = 1)
        /// β_t = start + (end − start)·σ(v_t) with v_t from −6 to 6 in equal steps: diffusers' `sigmoid`.
        case betaSigmoid(start: Double = 1e-4, end: Double = 0.02)
        /// β_1 … β_T themselves: diffusers' `trained_betas`.
        case table([Double])
    }

    package let kind: Kind
    /// T: the last timestep, where (nearly) nothing is left of the image.
    package let timesteps: Int
    /// o: to all noise of the chain, in masks, training and sampling, o·n is added with one n ~ N(0, 1) for each channel of an image, so
    /// that a network learns to move an image's mean: docs/maths.md (2.5). 0: none.
    package let offsetNoise: Double
    /// Whether √ᾱ was shifted and stretched so that it falls from its own √ᾱ_1 to 0: (1.5), diffusers' `rescale_betas_zero_snr`.
    package let isRescaled: Bool
    /// log ᾱ_t for t in 0…T.
    private let logAlphaBars: [Double]

    /// More timesteps than anyone trains with; keeps a foreign descriptor from asking for gigabytes.
    package static let maximumTimesteps = 100_000
    /// Steps that would remove more than this share of the signal are capped, as in diffusers (cosine and sigmoid).
    package static let maximumBeta = 0.999
    /// More than this drowns what is not the mean.
    package static let maximumOffsetNoise = 1.0

    /// - Throws: `badSchedule` when a parameter makes some β_t leave (0, 1], or the offset noise lies outside 0…1.
    package init(
        _ kind: Kind, timesteps: Int, offsetNoise: Double = 0, isRescaled: Bool = false
    ) throws(ChainError) {
        guard (0...Self.maximumOffsetNoise).contains(offsetNoise) else {
            throw ChainError(
                .badSchedule, "offset noise lies in 0…\(Self.maximumOffsetNoise) (0.1 is usual), not at \(offsetNoise)")
        }
        guard (2...Self.maximumTimesteps).contains(timesteps) else {
            throw ChainError(.badSchedule, "a schedule has 2 to \(Self.maximumTimesteps) timesteps, not \(timesteps)")
        }
        self.kind = kind
        self.timesteps = timesteps
        self.offsetNoise = offsetNoise
        self.isRescaled = isRescaled
        var logs = [0.0]
        logs.reserveCapacity(timesteps + 1)
        for (index, beta) in try Self.betas(kind, timesteps).enumerated() {
            let last = index == timesteps - 1
            guard beta > 0, beta < 1 || (last && beta == 1) else {
                throw ChainError(
                    .badSchedule,
                    "the schedule's β_\(index + 1) is \(beta); it must lie in (0, 1): change start, end or tau")
            }
            logs.append(logs[index] + log1p(-beta))
        }
        if isRescaled {
            let roots = logs.map { exp($0 / 2) }, last = roots[timesteps], first = roots[1]
            for t in 2...timesteps { logs[t] = 2 * log((roots[t] - last) * (first / (first - last))) }
            guard zip(logs, logs.dropFirst()).allSatisfy({ $0 > $1 }) else {
                throw ChainError(
                    .badSchedule, "the schedule leaves too little signal long before T to be rescaled to none at T")
            }
        }
        logAlphaBars = logs
    }

    /// log ᾱ_t
    package func logAlphaBar(_ t: Int) -> Double { logAlphaBars[t] }

    /// ᾱ_t: the share of variance that is still signal.
    package func alphaBar(_ t: Int) -> Double { exp(logAlphaBars[t]) }

    /// 1 − ᾱ_t: the share of variance that is noise.
    package func noiseShare(_ t: Int) -> Double { -expm1(logAlphaBars[t]) }

    /// ᾱ_t/(1 − ᾱ_t); infinite at t = 0 (where −log ᾱ would be −0).
    package func snr(_ t: Int) -> Double { 1 / expm1(0 - logAlphaBars[t]) }

    /// λ_t = log √SNR(t), in which DPM-Solver++ measures its steps; ∞ at t = 0.
    package func halfLogSNR(_ t: Int) -> Double { (logAlphaBars[t] - log(noiseShare(t))) / 2 }

    /// The signal-to-noise ratio in decibels.
    package func decibels(_ t: Int) -> Double { 10 * log10(snr(t)) }

    /// For messages.
    package var summary: String {
        let name =
            if case .table(let betas) = kind { "a table of β, \(betas[0]) to \(betas[betas.count - 1])" } else {
                "\(kind)"
            }
        return "\(name), T = \(timesteps)" + (isRescaled ? ", rescaled to no signal at T" : "")
            + (offsetNoise == 0 ? "" : ", offset noise \(offsetNoise)")
    }

    /// The variance of a value of the chain's noise: 1 + o².
    package var noisePower: Double { 1 + offsetNoise * offsetNoise }

    /// Whether nothing at all is left at T, so that x_T says nothing about which noise is in it.
    package var hasZeroTerminalSNR: Bool { logAlphaBars[timesteps] == -.infinity }

    /// SNR⁻¹, on the side of caution: the last timestep at which at least `snr` is left; 0 when that is more than x_1 holds.
    package func timestep(atLeast snr: Double) -> Int {
        var low = 0, high = timesteps  // SNR(low) ≥ snr; falls with t
        if self.snr(high) >= snr { return high }
        while high - low > 1 {
            let middle = (low + high) / 2
            if self.snr(middle) >= snr { low = middle } else { high = middle }
        }
        return low
    }

    /// β_1 … β_T as diffusers takes them for `trained_betas`.
    package var betas: [Double] { (1...timesteps).map { -expm1(logAlphaBars[$0] - logAlphaBars[$0 - 1]) } }

    private static func betas(_ kind: Kind, _ count: Int) throws(ChainError) -> [Double] {
        switch kind {
        case .linear(let start, let end):
            return (0..<count).map { start + (end - start) * Double($0) / Double(count - 1) }
        case .scaledLinear(let start, let end):
            guard start >= 0, end >= 0 else {
                throw ChainError(.badSchedule, "the scaled linear schedule's β must be above 0")
            }
            return try betas(.linear(start: start.squareRoot(), end: end.squareRoot()), count).map { $0 * $0 }
        case .cosine(let offset):
            guard offset >= 0, offset.isFinite else {
                throw ChainError(.badSchedule, "the cosine schedule's offset must be 0 or more, not \(offset)")
            }
            return capped(count) { u in
                let cosine = cos((u + offset) / (1 + offset) * .pi / 2)
                return cosine * cosine
            }
        case .sigmoid(let start, let end, let tau):
            guard tau > 0, start < end, [start, end, tau].allSatisfy(\.isFinite) else {
                throw ChainError(.badSchedule, "the sigmoid schedule needs start < end and tau > 0")
            }
            let top = sigmoid(end / tau), bottom = sigmoid(start / tau)
            return capped(count) { u in (top - sigmoid((u * (end - start) + start) / tau)) / (top - bottom) }
        case .betaSigmoid(let start, let end):
            return (0..<count).map { start + (end - start) * sigmoid(-6 + 12 * Double($0) / Double(count - 1)) }
        case .table(let betas):
            guard betas.count == count else {
                throw ChainError(.badSchedule, "the table has \(betas.count) values of β for \(count) timesteps")
            }
            return betas
        }
    }

    /// β_t = min(1 − ᾱ(t/T)/ᾱ((t−1)/T), .999)
    private static func capped(_ count: Int, _ alphaBar: (Double) -> Double) -> [Double] {
        (1...count).map { t in
            let ratio = alphaBar(Double(t) / Double(count)) / alphaBar(Double(t - 1) / Double(count))
            return min(1 - ratio, maximumBeta)
        }
    }

    private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
}

/// How a sample moves from timestep t to an earlier s, given what the network thinks of it: docs/maths.md, section 5.
///
/// All are those of diffusers, after a change of variable for Euler and Heun, which it writes for x/√ᾱ.
package enum Sampler: Hashable, Sendable, Codable {
    /// Which of its two bounds the variance of x_s given x_t takes (Ho et al. 2020, 3.2).
    package enum Variance: String, Hashable, Sendable, Codable {
        /// (1 − ᾱ_s)·λ, right if x_0 is one point; diffusers' `fixed_small`.
        case small
        /// 1 − ᾱ_t/ᾱ_s, right if x_0 is standard normal; diffusers' `fixed_large`.
        case large
    }

    /// Ancestral sampling from the posterior (Ho et al. 2020), over any stride.
    case ddpm(variance: Variance = .small)
    /// Song et al. 2020, eq. 12; η = 0 draws no noise, η = 1 is `ddpm` wherever x̂_0 is not thresholded.
    ///
    /// ε̂ is what x_t and the thresholded x̂_0 leave of each other (diffusers' `use_clipped_model_output`; measured on the
    /// digits, DDIM without it lost a point of label accuracy), or, with `rawNoise`, what the network said, as in diffusers
    /// unless told. diffusers also steps down by a fixed `stride` and then takes x to stand at the list's next timestep, whichever that is,
    /// and without `set_alpha_to_one` its last step leads to `end` = 1 only, which it takes for the image.
    case ddim(eta: Double = 0, rawNoise: Bool = false, stride: Int? = nil, end: Int = 0)
    /// DPM-Solver++ 2M (Lu et al. 2022): looks back at the x̂_0 of the step before.
    case dpmSolver
    /// Euler's method along the probability flow (Karras et al. 2022): DDIM with η = 0 and no raw noise.
    case euler
    /// Heun's method: Euler's step, then the mean of the slopes at both of its ends. Two looks of the network a step.
    ///
    /// With `fromNoise`, as in diffusers, also in a step from where SNR < 10⁻⁶, as at the cosine schedule's T. The far slope, which
    /// knows x̂_0, then stands for a way almost all of which does not: on the digits .10 of the samples came out as what they should
    /// show, and .79 without.
    case heun(fromNoise: Bool = false)

    /// What it is called in a topology, on the command line and in messages.
    package enum Name: String, Hashable, Sendable, CaseIterable {
        case ddpm, ddim
        case dpmSolver = "dpm-solver++"
        case euler, heun
    }

    package init(_ name: Name, eta: Double = 0) {
        switch name {
        case .ddpm: self = .ddpm()
        case .ddim: self = .ddim(eta: eta)
        case .dpmSolver: self = .dpmSolver
        case .euler: self = .euler
        case .heun: self = .heun()
        }
    }

    package var name: Name {
        switch self {
        case .ddpm: .ddpm
        case .ddim: .ddim
        case .dpmSolver: .dpmSolver
        case .euler: .euler
        case .heun: .heun
        }
    }

    /// Whether it adds noise on the way.
    package var isStochastic: Bool {
        switch self {
        case .ddpm: true
        case .ddim(let eta, _, _, _): eta > 0
        case .dpmSolver, .euler, .heun: false
        }
    }

    /// The same where it draws no noise, else DDIM, which draws none.
    package var withoutNoise: Sampler { isStochastic ? .ddim() : self }

    /// - Throws: `badSampler` unless η lies in 0…1, and for Heun's method where x_T holds no signal: its slope has no end there.
    package func check(on schedule: Schedule) throws(ChainError) {
        if case .ddim(let eta, _, let stride, let end) = self {
            guard (0...1).contains(eta) else {
                throw ChainError(.badSampler, "DDIM's eta must lie in 0…1, not be \(eta)")
            }
            guard stride ?? 1 >= 1, (0...1).contains(end) else {
                throw ChainError(.badSampler, "DDIM strides by 1 or more, and ends at 0 or 1")
            }
        }
        if name == .heun, schedule.hasZeroTerminalSNR {
            throw ChainError(
                .badSampler, "Heun's method needs a schedule that leaves some signal at T: take DDIM or DPM-Solver++")
        }
    }
}

/// q(x_s | x_t, x_0) = N(meanFromX·x_t + meanFromImage·x_0, variance·I) for s < t: docs/maths.md (2.4).
package struct Posterior: Hashable, Sendable {
    package let meanFromX: Double
    package let meanFromImage: Double
    package let variance: Double

    /// - Precondition: 0 ≤ s < t ≤ T.
    package init(of s: Int, given t: Int, on schedule: Schedule) {
        let forward = ForwardStep(from: s, to: t, on: schedule)
        let earlier = schedule.noiseShare(s), later = schedule.noiseShare(t)
        meanFromX = forward.signalScale * earlier / later
        meanFromImage = schedule.alphaBar(s).squareRoot() * forward.addedShare
        variance = earlier * forward.addedShare
    }
}

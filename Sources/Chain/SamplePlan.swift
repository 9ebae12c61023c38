/// How one sample is to be made. With x at its first timestep, this and the model decide every value of it.
///
/// A sampler asks the network once or twice a step; each time is a *pass*. Passes are numbered from 0 over the whole plan:
///
///     steps     t0 ──► t1 ──► t2          t0 ──────────► t1 ──────────► t2
///     passes       0      1                  0       1      2       3
///     asked at    t0     t1                 t0      t1     t1      t2       Heun
package struct SamplePlan: Hashable, Sendable, Codable {
    /// Noise is keyed by (seed, number, target timestep, purpose): a sample does not depend on what it is batched with.
    package var seed: UInt64
    package var number: UInt32
    /// 0…C; C: none.
    package var label: Int
    package var timesteps: TimestepList
    package var sampler: Sampler
    /// w; 0 and 1: none.
    package var guidance: Double
    package var threshold: Threshold
    /// Whether the network may be asked at the last timestep. One that was trained for later ones only may not:
    /// Heun's last step is then Euler's.
    package var asksAtEnd: Bool

    package init(
        seed: UInt64, number: UInt32, label: Int, timesteps: TimestepList, sampler: Sampler = .ddim(),
        guidance: Double = 1, threshold: Threshold = .clip(1), asksAtEnd: Bool = true
    ) {
        self.seed = seed
        self.number = number
        self.label = label
        self.timesteps = timesteps
        self.sampler = sampler
        self.guidance = guidance
        self.threshold = threshold
        self.asksAtEnd = asksAtEnd
    }

    /// Whether a weight of classifier-free guidance leads anywhere: 0 and 1 mean none, wherever one is named.
    package static func isGuided(_ weight: Double) -> Bool { weight != 0 && weight != 1 }

    /// How often the network is asked; a guided sample is asked about twice each time.
    package var passes: Int {
        guard sampler.name == .heun else { return timesteps.steps }
        return 2 * timesteps.steps - (correctsLastStep ? 0 : 1)
    }

    /// At t = 0 there is no noise left to ask about.
    private var correctsLastStep: Bool { timesteps.end > 0 && asksAtEnd }

    /// - Precondition: 0 ≤ index < `passes`.
    package func pass(_ index: Int) -> SamplePass {
        precondition((0..<passes).contains(index), "pass \(index) of a plan of \(passes)")
        guard sampler.name == .heun else { return SamplePass(self, step: index, isCorrection: false, isHalf: false) }
        let isLastAlone = index == passes - 1 && index.isMultiple(of: 2)
        return SamplePass(
            self, step: index / 2, isCorrection: !index.isMultiple(of: 2), isHalf: !isLastAlone)
    }

    /// Where x stands after so many passes; in the middle of one of Heun's steps that is already its end.
    package func timestep(afterPasses count: Int) -> Int { count == 0 ? timesteps.start : pass(count - 1).to }
}

/// One evaluation of the network for one sample, and the step or half step made of it.
package struct SamplePass: Hashable, Sendable {
    package let plan: SamplePlan
    /// Counts the plan's steps from 0.
    package let step: Int
    /// t, from which the step leads.
    package let from: Int
    /// s, to which it leads.
    package let to: Int
    /// Whether it mends a step that the pass before made.
    package let isCorrection: Bool
    /// One of the two passes of a step of Heun's.
    let isHalf: Bool

    fileprivate init(_ plan: SamplePlan, step: Int, isCorrection: Bool, isHalf: Bool) {
        self.plan = plan
        self.step = step
        from = plan.timesteps.timesteps[step]
        to = plan.timesteps.timesteps[step + 1]
        self.isCorrection = isCorrection
        self.isHalf = isHalf
    }

    /// The timestep at which the network is asked, and at which x stands.
    package var asked: Int { isCorrection ? to : from }

    /// Whether the next pass needs something of this one.
    package var keeps: Bool {
        switch plan.sampler {
        case .dpmSolver: true
        case .heun: isHalf && !isCorrection
        case .ddpm, .ddim, .euler: false
        }
    }

    /// The timestep before `from` whose x̂_0 is remembered; nil at a plan's first step: another model was asked there, or none.
    var before: Int? { step == 0 ? nil : plan.timesteps.timesteps[step - 1] }
}

/// Which sampler both halves of the chain use.
public enum SamplerChoice: String, Sendable, CaseIterable {
    /// Ancestral sampling.
    case ddpm
    /// η = 0: no noise on the way.
    case ddim
    /// DPM-Solver++ 2M: good samples in the fewest steps.
    case dpmSolver = "dpm-solver++"
    /// DDIM with η = 0 under the name it has elsewhere.
    case euler
    /// Asks the networks twice a step.
    case heun
}

/// What is to be drawn.
public struct SampleRequest: Sendable {
    /// Labels that this client's head was trained on.
    public var held: [Int]
    /// Samples of each of them.
    public var perLabel: Int
    /// Samples of each other label of the run. The workers know them from other clients; the head finishes them without a label.
    public var unseenPerLabel: Int
    /// ζ
    public var cut: Int
    /// Steps over the whole chain, shared between workers and head by their share of it.
    public var steps: Int
    public var sampler: SamplerChoice
    /// η of DDIM, 0…1: how much of DDPM's noise is added on the way.
    public var eta: Double
    /// Weight of classifier-free guidance on both halves; 0 and 1: none.
    public var guidance: Double
    /// The same seed draws the same samples from the same models, in the same home. nil: that of a call that was interrupted and asked
    /// for the same, else one that nobody drew with; `SampleSet.seed` tells.
    public var seed: UInt64?
    /// Samples in one job.
    public var chunk: Int
    /// A preview of each sample after every so many calls of the workers' network; 0: none.
    public var previewEvery: Int
    /// Seconds from now in which the workers are to be through; else they leave it. nil: no matter when.
    public var within: Double?
    /// What the samples are to show, for a backbone that looks at text: as many samples of each prompt as `perLabel` says. The head
    /// finishes them without. nil: nothing.
    public var text: PromptEmbeddings?
    /// Threads that one tensor operation may use.
    public var threads: Int

    public init(
        held: [Int], perLabel: Int, unseenPerLabel: Int = 0, cut: Int, steps: Int = 50, sampler: SamplerChoice = .ddim,
        eta: Double = 0, guidance: Double = 1, seed: UInt64? = nil, chunk: Int = 32, previewEvery: Int = 0,
        within: Double? = nil,
        text: PromptEmbeddings? = nil, threads: Int = 1
    ) {
        self.held = held
        self.perLabel = perLabel
        self.unseenPerLabel = unseenPerLabel
        self.cut = cut
        self.steps = steps
        self.sampler = sampler
        self.eta = eta
        self.guidance = guidance
        self.seed = seed
        self.chunk = chunk
        self.previewEvery = previewEvery
        self.within = within
        self.text = text
        self.threads = threads
    }

    /// - Throws: `badRequest` for numbers that no samples can be drawn with.
    func check() throws(ClientError) {
        guard previewEvery >= 0, within.map({ $0 > 0 && $0 <= 1e9 }) ?? true else {
            throw ClientError(
                .badRequest, "previews come after 1 step or more (0: none), and samples are wanted within more than 0 s"
            )
        }
        guard perLabel >= 0, unseenPerLabel >= 0, steps >= 2, threads > 0, (1...1024).contains(chunk),
            (0...100).contains(guidance)
        else {
            throw ClientError(
                .badRequest,
                "samples are drawn in at least 2 steps, 1 to 1024 in a job, with at least one thread and guidance in 0…100"
            )
        }
        guard (0...1).contains(eta), eta == 0 || sampler == .ddim else {
            throw ClientError(.badRequest, "eta is DDIM's, and lies in 0…1")
        }
        if let text, text.prompts(guidance: guidance) < 1 {
            throw ClientError(.badRequest, "guidance leads away from the last prompt, the empty one: there is no other")
        }
    }
}

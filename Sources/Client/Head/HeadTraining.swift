/// How a head is trained.
public struct HeadTraining: Sendable {
    /// Images in all, counted as often as they are shown, from the first training on.
    public var images: Int
    /// Images in a training step.
    public var batch: Int
    /// AdamW's step size.
    public var learningRate: Double
    /// γ of min-SNR weighting, 5 usually; nil: every timestep weighs the same.
    public var minSNR: Double?
    /// Whether convolutions and products of matrices are computed in bfloat16, which is faster on processors that multiply it.
    public var isMixed: Bool
    /// Threads that one tensor operation may use.
    public var threads: Int
    /// Of the first parameters and of training; it has nothing to do with masks.
    public var seed: UInt64

    public init(
        images: Int, batch: Int = 64, learningRate: Double = 2e-3, minSNR: Double? = nil, isMixed: Bool = false,
        threads: Int = 1, seed: UInt64 = 0
    ) {
        self.images = images
        self.batch = batch
        self.learningRate = learningRate
        self.minSNR = minSNR
        self.isMixed = isMixed
        self.threads = threads
        self.seed = seed
    }
}

/// A measurement on the way.
public struct HeadMeasurement: Sendable {
    /// Images shown so far.
    public var images: Int
    /// The ordinary noise-prediction loss over 1…ζ since the last measurement.
    public var loss: Double
}

/// What training came to.
public struct HeadSummary: Sendable {
    public var images: Int
    public var loss: Double
    public var cut: Int

    public var text: String { "head for ζ = \(cut): \(images) images, loss \(loss)" }
}

/// The `config.json` of a diffusers `UNet2DModel`, or of a `UNet2DConditionModel` that takes text embeddings.
///
///     let configuration = try UNetConfiguration(json: text)
///
/// Keys keep diffusers' names and defaults. What is not supported is refused by name, so that a checkpoint never runs as
/// something else than it was trained as.
package struct UNetConfiguration: Hashable, Sendable {
    package enum DownBlock: String, Sendable, CaseIterable {
        case plain = "DownBlock2D"
        case attention = "AttnDownBlock2D"
        case resnet = "ResnetDownsampleBlock2D"
        case crossAttention = "CrossAttnDownBlock2D"
    }

    package enum MidBlock: String, Sendable, CaseIterable {
        case attention = "UNetMidBlock2D"
        case crossAttention = "UNetMidBlock2DCrossAttn"
    }

    package enum UpBlock: String, Sendable, CaseIterable {
        case plain = "UpBlock2D"
        case attention = "AttnUpBlock2D"
        case resnet = "ResnetUpsampleBlock2D"
        case crossAttention = "CrossAttnUpBlock2D"
    }

    /// How attention blocks halve and double the resolution.
    package enum Resampling: String, Sendable, CaseIterable { case conv, resnet }

    /// How the time embedding enters a residual block: added, or as scale and shift of its second norm.
    package enum TimeEntry: String, Sendable, CaseIterable {
        case add = "default"
        case scaleShift = "scale_shift"
    }

    package enum TimeEmbeddingType: String, Sendable, CaseIterable {
        /// Waves of t.
        case positional
        /// Waves of ln σ at random frequencies: the network is told noise levels, not timesteps.
        case fourier
        /// A table with a row for each timestep.
        case learned
    }

    /// How a class enters, beside a table of `classEmbeddings` rows.
    package enum ClassEmbedding: String, Sendable, CaseIterable {
        /// Labels [N] are numbers that are embedded as timesteps are.
        case timestep
        /// Labels [N, time width] are added to the time embedding as they are.
        case identity
    }

    /// What a `UNet2DConditionModel` has and a `UNet2DModel` has not.
    package struct Text: Hashable, Sendable {
        /// D: values in the embedding of a token.
        package var width = 1280
        /// Heads of the transformers at each resolution, the highest first. diffusers calls it `attention_head_dim`.
        package var heads: [Int]
        /// Layers in each transformer at each resolution.
        package var layers: [Int]
        /// Whether transformers begin and end with a linear layer; else with a convolution of one pixel, which is the same.
        package var linearProjection = false
        /// Whether pixels look at the text alone, never at each other, but in the middle.
        package var crossOnly = false
    }

    /// Height and width; nil: any.
    package var sampleSize: [Int]?
    package var inChannels = 3
    package var outChannels = 3
    package var centerInputSample = false
    package var timeEmbeddingType = TimeEmbeddingType.positional
    package var timeEmbeddingDim: Int?
    /// Rows of a learned time embedding.
    package var trainTimesteps: Int?
    package var freqShift = 0.0
    package var flipSinToCos = true
    package var downBlocks: [DownBlock] = [.plain, .attention, .attention, .attention]
    package var midBlock: MidBlock? = .attention
    package var upBlocks: [UpBlock] = [.attention, .attention, .attention, .plain]
    package var blockOutChannels = [224, 448, 672, 896]
    package var layersPerBlock = 2
    package var midBlockScaleFactor = 1.0
    package var downsamplePadding = 1
    package var downsampleType = Resampling.conv
    package var upsampleType = Resampling.conv
    /// Of no effect but in training, and there it is refused: `checkTrainable`.
    package var dropout = 0.0
    package var activation = Activation.silu
    /// Channels of one attention head; nil: one head over all channels.
    package var attentionHeadDim: Int? = 8
    package var normGroups = 32
    package var attentionNormGroups: Int?
    package var normEpsilon = 1e-5
    package var timeEntry = TimeEntry.add
    package var addAttention = true
    /// Rows of the class embedding: C and one for "none". nil: no such table.
    package var classEmbeddings: Int?
    package var classEmbedding: ClassEmbedding?
    /// nil: a `UNet2DModel`.
    package var text: Text?
    /// Whether half of the input's channels are the network's own last x̂_0: docs/maths.md (4.2). Our key; diffusers passes over it.
    package var isSelfConditioned = false

    package init() {}

    /// Width of the time embedding inside the network.
    package var timeWidth: Int { timeEmbeddingDim ?? blockOutChannels[0] * 4 }

    /// The label that stands for "none": the last row, where there are classes.
    package var nullLabel: Int? { classEmbeddings.map { $0 - 1 } }

    /// Channels of the images that go in, without those of the network's own last estimate.
    package var imageChannels: Int { isSelfConditioned ? inChannels / 2 : inChannels }

    /// Whether some block looks at text, so that the network cannot be called without.
    package var wantsText: Bool {
        downBlocks.contains(.crossAttention) || midBlock == .crossAttention || upBlocks.contains(.crossAttention)
    }
}

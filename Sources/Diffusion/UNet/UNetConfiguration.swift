/// The `config.json` of a diffusers `UNet2DModel`.
///
/// Keys keep diffusers' names and defaults. What is not supported is refused by name, so that a checkpoint never runs as
/// something else than it was trained as.
package struct UNetConfiguration: Hashable, Sendable {
    package enum DownBlock: String, Sendable {
        case plain = "DownBlock2D"
        case attention = "AttnDownBlock2D"
        case resnet = "ResnetDownsampleBlock2D"
    }

    package enum UpBlock: String, Sendable {
        case plain = "UpBlock2D"
        case attention = "AttnUpBlock2D"
        case resnet = "ResnetUpsampleBlock2D"
    }

    /// How attention blocks halve and double the resolution.
    package enum Resampling: String, Sendable { case conv, resnet }

    /// How the time embedding enters a residual block: added, or as scale and shift of its second norm.
    package enum TimeEntry: String, Sendable {
        case add = "default"
        case scaleShift = "scale_shift"
    }

    /// Height and width; nil: any.
    package var sampleSize: [Int]?
    package var inChannels = 3
    package var outChannels = 3
    package var centerInputSample = false
    package var timeEmbeddingDim: Int?
    package var freqShift = 0.0
    package var flipSinToCos = true
    package var downBlocks: [DownBlock] = [.plain, .attention, .attention, .attention]
    package var hasMidBlock = true
    package var upBlocks: [UpBlock] = [.attention, .attention, .attention, .plain]
    package var blockOutChannels = [224, 448, 672, 896]
    package var layersPerBlock = 2
    package var midBlockScaleFactor = 1.0
    package var downsamplePadding = 1
    package var downsampleType = Resampling.conv
    package var upsampleType = Resampling.conv
    /// Channels of one attention head; nil: one head over all channels.
    package var attentionHeadDim: Int? = 8
    package var normGroups = 32
    package var attentionNormGroups: Int?
    package var normEpsilon = 1e-5
    package var timeEntry = TimeEntry.add
    package var addAttention = true
    /// Rows of the class embedding: C and one for "none". nil: not conditioned on classes.
    package var classEmbeddings: Int?

    package init() {}

    /// Width of the time embedding inside the network.
    package var timeWidth: Int { timeEmbeddingDim ?? blockOutChannels[0] * 4 }

    /// The label that stands for "none": the last row, where there are classes.
    package var nullLabel: Int? { classEmbeddings.map { $0 - 1 } }

    /// - Throws: `badConfig`, naming the key at fault.
    package init(json: String) throws(DiffusionError) {
        let object = try ConfigObject(json, name: "config.json")
        try object.allow([
            "sample_size", "in_channels", "out_channels", "center_input_sample", "time_embedding_type",
            "time_embedding_dim",
            "freq_shift", "flip_sin_to_cos", "down_block_types", "mid_block_type", "up_block_types",
            "block_out_channels",
            "layers_per_block", "mid_block_scale_factor", "downsample_padding", "downsample_type", "upsample_type",
            "dropout",
            "act_fn", "attention_head_dim", "norm_num_groups", "attn_norm_num_groups", "norm_eps",
            "resnet_time_scale_shift",
            "add_attention", "class_embed_type", "num_class_embeds", "num_train_timesteps",
        ])
        try object.require("_class_name", oneOf: ["UNet2DModel"])
        try object.require("time_embedding_type", oneOf: ["positional"])
        try object.require("act_fn", oneOf: ["silu", "swish"])
        try object.requireNull("class_embed_type")
        if let dropout = try object.number("dropout"), dropout != 0 {
            throw object.fault("dropout", "only 0 is supported here")
        }
        if object.isPresent("sample_size") {
            let sides = try object.integers("sample_size") ?? []
            guard sides.count == 1 || sides.count == 2 else {
                throw object.fault("sample_size", "one or two sides are wanted")
            }
            sampleSize = [sides[0], sides[sides.count - 1]]
        }
        inChannels = try object.integer("in_channels") ?? inChannels
        outChannels = try object.integer("out_channels") ?? outChannels
        centerInputSample = try object.flag("center_input_sample") ?? centerInputSample
        timeEmbeddingDim = try object.integer("time_embedding_dim")
        freqShift = try object.number("freq_shift") ?? freqShift
        flipSinToCos = try object.flag("flip_sin_to_cos") ?? flipSinToCos
        downBlocks = try object.choices("down_block_types") ?? downBlocks
        upBlocks = try object.choices("up_block_types") ?? upBlocks
        if object.isPresent("mid_block_type") {
            try object.require("mid_block_type", oneOf: ["UNetMidBlock2D"])
        } else {
            hasMidBlock = !object.isNull("mid_block_type")
        }
        blockOutChannels = try object.integers("block_out_channels") ?? blockOutChannels
        layersPerBlock = try object.integer("layers_per_block") ?? layersPerBlock
        midBlockScaleFactor = try object.number("mid_block_scale_factor") ?? midBlockScaleFactor
        downsamplePadding = try object.integer("downsample_padding", from: 0) ?? downsamplePadding
        downsampleType = try object.choice("downsample_type") ?? downsampleType
        upsampleType = try object.choice("upsample_type") ?? upsampleType
        attentionHeadDim =
            object.isNull("attention_head_dim") ? nil : try object.integer("attention_head_dim") ?? attentionHeadDim
        normGroups = try object.integer("norm_num_groups") ?? normGroups
        attentionNormGroups = try object.integer("attn_norm_num_groups")
        normEpsilon = try object.number("norm_eps") ?? normEpsilon
        timeEntry = try object.choice("resnet_time_scale_shift") ?? timeEntry
        addAttention = try object.flag("add_attention") ?? addAttention
        classEmbeddings = try object.integer("num_class_embeds")
        try check()
    }

    /// What the keys must be to each other.
    private func check() throws(DiffusionError) {
        func refuse(_ key: String, _ what: String) -> DiffusionError {
            DiffusionError(.badConfig, "config.json: key '\(key)': \(what)")
        }
        guard !blockOutChannels.isEmpty, blockOutChannels.count <= 8 else {
            throw refuse("block_out_channels", "1 to 8 resolutions are wanted")
        }
        guard blockOutChannels.allSatisfy({ (1...8192).contains($0) }) else {
            throw refuse("block_out_channels", "1 to 8192 channels are wanted")
        }
        guard downBlocks.count == blockOutChannels.count else {
            throw refuse("down_block_types", "one is wanted for each of block_out_channels")
        }
        guard upBlocks.count == blockOutChannels.count else {
            throw refuse("up_block_types", "one is wanted for each of block_out_channels")
        }
        guard (1...16).contains(layersPerBlock) else { throw refuse("layers_per_block", "1 to 16 are wanted") }
        guard downsamplePadding <= 1 else { throw refuse("downsample_padding", "only 0 and 1 are supported here") }
        guard blockOutChannels.allSatisfy({ $0.isMultiple(of: normGroups) }) else {
            throw refuse("norm_num_groups", "it must divide every one of block_out_channels")
        }
        if let groups = attentionNormGroups, !blockOutChannels[blockOutChannels.count - 1].isMultiple(of: groups) {
            throw refuse("attn_norm_num_groups", "it must divide the last of block_out_channels")
        }
        guard normEpsilon > 0, normEpsilon < 1 else { throw refuse("norm_eps", "a small number above 0 is wanted") }
        guard midBlockScaleFactor > 0, midBlockScaleFactor.isFinite else {
            throw refuse("mid_block_scale_factor", "a number above 0 is wanted")
        }
        guard blockOutChannels[0] > 3, freqShift >= 0, freqShift < Double(blockOutChannels[0] / 2) else {
            throw refuse("freq_shift", "it must lie below half of block_out_channels' first, which must be 4 or more")
        }
        let attended =
            blockOutChannels.indices.filter { downBlocks[$0] == .attention }
            + blockOutChannels.indices.filter { upBlocks[blockOutChannels.count - 1 - $0] == .attention }
            + (hasMidBlock && addAttention ? [blockOutChannels.count - 1] : [])
        if let head = attentionHeadDim, attended.contains(where: { blockOutChannels[$0] < head }) {
            throw refuse("attention_head_dim", "a head cannot be wider than the block it is in")
        }
        if let side = sampleSize?.min(), side >> (blockOutChannels.count - 1) == 0 {
            throw refuse("sample_size", "it is halved \(blockOutChannels.count - 1) times and would vanish")
        }
    }
}

extension UNetConfiguration {
    /// Whether images of this shape can go through and come out as the same shape.
    ///
    /// - Throws: `badConfig`, naming the key at fault.
    package func check(channels: Int, height: Int, width: Int) throws(DiffusionError) {
        let factor = 1 << (blockOutChannels.count - 1)
        guard inChannels == channels else {
            throw DiffusionError(
                .badConfig,
                "config.json: key 'in_channels': the run's images have \(channels) channels, not \(inChannels)")
        }
        guard outChannels == channels else {
            throw DiffusionError(
                .badConfig,
                "config.json: key 'out_channels': the run's images have \(channels) channels, not \(outChannels)")
        }
        guard height.isMultiple(of: factor), width.isMultiple(of: factor) else {
            throw DiffusionError(
                .badConfig,
                "config.json: key 'block_out_channels': images of \(height)×\(width) cannot be halved \(blockOutChannels.count - 1) times"
            )
        }
    }
}

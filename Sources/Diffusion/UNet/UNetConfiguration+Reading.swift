extension UNetConfiguration {
    /// - Throws: `badConfig`, naming the key at fault.
    package init(json: String) throws(DiffusionError) {
        let object = try ConfigObject(json, name: ModelDirectory.configFile)
        let kind: ModelClass = try object.choice("_class_name") ?? .plain
        try object.allow(Self.commonKeys.union(kind == .plain ? Self.plainKeys : Self.textKeys))
        self.init()
        switch kind {
        case .plain: try readPlain(object)
        case .text: try readText(object)
        }
        try readCommon(object)
        try check()
    }

    private enum ModelClass: String, CaseIterable {
        case plain = "UNet2DModel"
        case text = "UNet2DConditionModel"
    }

    private static let commonKeys: Set<String> = [
        "sample_size", "in_channels", "out_channels", "center_input_sample", "time_embedding_type",
        "time_embedding_dim", "freq_shift", "flip_sin_to_cos", "down_block_types", "mid_block_type", "up_block_types",
        "block_out_channels", "layers_per_block", "mid_block_scale_factor", "downsample_padding", "dropout", "act_fn",
        "attention_head_dim", "norm_num_groups", "norm_eps", "resnet_time_scale_shift", "class_embed_type",
        "num_class_embeds",
    ]

    private static let plainKeys: Set<String> = [
        "downsample_type", "upsample_type", "attn_norm_num_groups", "add_attention", "num_train_timesteps",
    ]

    private mutating func readCommon(_ object: ConfigObject) throws(DiffusionError) {
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
        timeEmbeddingType = try object.choice("time_embedding_type") ?? timeEmbeddingType
        timeEmbeddingDim = try object.integer("time_embedding_dim")
        freqShift = try object.number("freq_shift") ?? freqShift
        flipSinToCos = try object.flag("flip_sin_to_cos") ?? flipSinToCos
        downBlocks = try object.choices("down_block_types", dropping: "UNetRes") ?? downBlocks
        upBlocks = try object.choices("up_block_types", dropping: "UNetRes") ?? upBlocks
        midBlock = object.isNull("mid_block_type") ? nil : try object.choice("mid_block_type") ?? midBlock
        blockOutChannels = try object.integers("block_out_channels") ?? blockOutChannels
        midBlockScaleFactor = try object.number("mid_block_scale_factor") ?? midBlockScaleFactor
        downsamplePadding = try object.integer("downsample_padding", from: 0) ?? downsamplePadding
        dropout = try object.number("dropout") ?? dropout
        // diffusers takes these names in any case.
        if let name = try object.string("act_fn")?.lowercased() {
            activation = try object.choice(of: name == "swish" ? "silu" : name, "act_fn")
        }
        normGroups = try object.integer("norm_num_groups") ?? normGroups
        normEpsilon = try object.number("norm_eps") ?? normEpsilon
        timeEntry = try object.choice("resnet_time_scale_shift") ?? timeEntry
        classEmbedding = try object.choice("class_embed_type")
        // diffusers looks at the number of rows only where no other kind is asked for.
        if classEmbedding == nil { classEmbeddings = try object.integer("num_class_embeds") }
        isSelfConditioned = try object.flag(Self.selfConditioningKey) ?? isSelfConditioned
    }

    static let selfConditioningKey = "_collafuse_self_conditioning"

    private mutating func readPlain(_ object: ConfigObject) throws(DiffusionError) {
        layersPerBlock = try object.integer("layers_per_block") ?? layersPerBlock
        downsampleType = try object.choice("downsample_type") ?? downsampleType
        upsampleType = try object.choice("upsample_type") ?? upsampleType
        attentionHeadDim =
            object.isNull("attention_head_dim") ? nil : try object.integer("attention_head_dim") ?? attentionHeadDim
        attentionNormGroups = try object.integer("attn_norm_num_groups")
        addAttention = try object.flag("add_attention") ?? addAttention
        trainTimesteps = try object.integer("num_train_timesteps")
    }
}

// MARK: UNet2DConditionModel

extension UNetConfiguration {
    private static let textKeys: Set<String> = [
        "cross_attention_dim", "transformer_layers_per_block", "use_linear_projection", "only_cross_attention",
        // Of no effect on the numbers, or only with others that are refused.
        "upcast_attention", "addition_embed_type_num_heads",
        // Refused below unless they have the value that changes nothing.
        "dual_cross_attention", "resnet_skip_time_act", "class_embeddings_concat", "mid_block_only_cross_attention",
        "attention_type", "conv_in_kernel", "conv_out_kernel", "resnet_out_scale_factor",
    ]

    private mutating func readText(_ object: ConfigObject) throws(DiffusionError) {
        for key in [
            "dual_cross_attention", "resnet_skip_time_act", "class_embeddings_concat", "mid_block_only_cross_attention",
        ] where try object.flag(key) == true { throw object.fault(key, "only false is supported here") }
        for (key, only) in [("conv_in_kernel", 3), ("conv_out_kernel", 3), ("resnet_out_scale_factor", 1.0)] {
            if let value = try object.number(key), value != only {
                throw object.fault(key, "only \(only == 1 ? "1" : "3") is supported here")
            }
        }
        try object.require("attention_type", oneOf: ["default"])
        try object.require("time_embedding_type", oneOf: ["positional"])

        inChannels = 4
        outChannels = 4
        downBlocks = [.crossAttention, .crossAttention, .crossAttention, .plain]
        midBlock = .crossAttention
        upBlocks = [.plain, .crossAttention, .crossAttention, .crossAttention]
        blockOutChannels = [320, 640, 1280, 1280]
        addAttention = false
        let levels = try object.integers("block_out_channels")?.count ?? blockOutChannels.count
        layersPerBlock = try object.sameInteger("layers_per_block") ?? layersPerBlock
        // diffusers' name is a slip: the number is that of heads.
        let heads = try object.integers("attention_head_dim") ?? [8]
        let layers = try object.integers("transformer_layers_per_block") ?? [1]
        for (key, list) in [("attention_head_dim", heads), ("transformer_layers_per_block", layers)]
        where list.count != 1 && list.count != levels {
            throw object.fault(key, "one number is wanted, or one for each of block_out_channels")
        }
        // Where a block of UNet2DModel's kind stands among the others, it takes the number for channels.
        attentionHeadDim = heads[0]
        text = Text(
            width: try object.sameInteger("cross_attention_dim") ?? 1280,
            heads: heads.count == 1 ? Array(repeating: heads[0], count: levels) : heads,
            layers: layers.count == 1 ? Array(repeating: layers[0], count: levels) : layers,
            linearProjection: try object.flag("use_linear_projection") ?? false,
            crossOnly: try object.sameFlag("only_cross_attention") ?? false)
    }
}

extension UNetConfiguration {
    /// `config.json` as `UNet2DModel.from_pretrained` reads it; equal configurations have equal text.
    package var json: String {
        func names(_ choices: [some RawRepresentable<String>]) -> JSONValue {
            .list(choices.map { .text($0.rawValue) })
        }
        let sides =
            sampleSize.map { $0[0] == $0[1] ? .integer($0[0]) : .list($0.map(JSONValue.integer)) } ?? JSONValue.null
        return JSONValue.object([
            "_class_name": .text("UNet2DModel"),
            "act_fn": .text("silu"),
            "add_attention": .flag(addAttention),
            "attention_head_dim": JSONValue(attentionHeadDim),
            "attn_norm_num_groups": JSONValue(attentionNormGroups),
            "block_out_channels": .list(blockOutChannels.map(JSONValue.integer)),
            "center_input_sample": .flag(centerInputSample),
            "class_embed_type": .null,
            "down_block_types": names(downBlocks),
            "downsample_padding": .integer(downsamplePadding),
            "downsample_type": .text(downsampleType.rawValue),
            "dropout": .integer(0),
            "flip_sin_to_cos": .flag(flipSinToCos),
            "freq_shift": .number(freqShift),
            "in_channels": .integer(inChannels),
            "layers_per_block": .integer(layersPerBlock),
            "mid_block_scale_factor": .number(midBlockScaleFactor),
            "mid_block_type": hasMidBlock ? .text("UNetMidBlock2D") : .null,
            "norm_eps": .number(normEpsilon),
            "norm_num_groups": .integer(normGroups),
            "num_class_embeds": JSONValue(classEmbeddings),
            "out_channels": .integer(outChannels),
            "resnet_time_scale_shift": .text(timeEntry.rawValue),
            "sample_size": sides,
            "time_embedding_dim": JSONValue(timeEmbeddingDim),
            "time_embedding_type": .text("positional"),
            "up_block_types": names(upBlocks),
            "upsample_type": .text(upsampleType.rawValue),
        ]).description
    }
}

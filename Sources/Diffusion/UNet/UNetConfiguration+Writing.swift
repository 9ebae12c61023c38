extension UNetConfiguration {
    /// `config.json` as diffusers' `from_pretrained` reads it; equal configurations have equal text.
    package var json: String {
        func names(_ choices: [some RawRepresentable<String>]) -> JSONValue {
            .list(choices.map { .text($0.rawValue) })
        }
        let sides =
            sampleSize.map { $0[0] == $0[1] ? .integer($0[0]) : .list($0.map(JSONValue.integer)) } ?? JSONValue.null
        var keys: [String: JSONValue] = [
            "act_fn": .text(activation.rawValue),
            "block_out_channels": .list(blockOutChannels.map(JSONValue.integer)),
            "center_input_sample": .flag(centerInputSample),
            "class_embed_type": classEmbedding.map { .text($0.rawValue) } ?? .null,
            "down_block_types": names(downBlocks),
            "downsample_padding": .integer(downsamplePadding),
            "dropout": .number(dropout),
            "flip_sin_to_cos": .flag(flipSinToCos),
            "freq_shift": .number(freqShift),
            "in_channels": .integer(inChannels),
            "layers_per_block": .integer(layersPerBlock),
            "mid_block_scale_factor": .number(midBlockScaleFactor),
            "mid_block_type": midBlock.map { .text($0.rawValue) } ?? .null,
            "norm_eps": .number(normEpsilon),
            "norm_num_groups": .integer(normGroups),
            "num_class_embeds": JSONValue(classEmbeddings),
            "out_channels": .integer(outChannels),
            "resnet_time_scale_shift": .text(timeEntry.rawValue),
            "sample_size": sides,
            "time_embedding_dim": JSONValue(timeEmbeddingDim),
            "time_embedding_type": .text(timeEmbeddingType.rawValue),
            "up_block_types": names(upBlocks),
        ]
        if isSelfConditioned { keys[Self.selfConditioningKey] = .flag(true) }
        keys.merge(text.map(textKeys) ?? plainKeys) { _, new in new }
        return JSONValue.object(keys).description
    }

    private var plainKeys: [String: JSONValue] {
        [
            "_class_name": .text("UNet2DModel"),
            "add_attention": .flag(addAttention),
            "attention_head_dim": JSONValue(attentionHeadDim),
            "attn_norm_num_groups": JSONValue(attentionNormGroups),
            "downsample_type": .text(downsampleType.rawValue),
            "num_train_timesteps": JSONValue(trainTimesteps),
            "upsample_type": .text(upsampleType.rawValue),
        ]
    }

    private func textKeys(_ text: Text) -> [String: JSONValue] {
        func list(_ numbers: [Int]) -> JSONValue {
            Set(numbers).count == 1 ? .integer(numbers[0]) : .list(numbers.map(JSONValue.integer))
        }
        return [
            "_class_name": .text("UNet2DConditionModel"),
            "attention_head_dim": list(text.heads),
            "cross_attention_dim": .integer(text.width),
            "only_cross_attention": .flag(text.crossOnly),
            "transformer_layers_per_block": list(text.layers),
            "use_linear_projection": .flag(text.linearProjection),
        ]
    }
}

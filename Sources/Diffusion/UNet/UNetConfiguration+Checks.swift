extension UNetConfiguration {
    /// What the keys must be to each other.
    func check() throws(DiffusionError) {
        guard !blockOutChannels.isEmpty, blockOutChannels.count <= 8 else {
            throw refuse("block_out_channels", "1 to 8 resolutions are wanted")
        }
        guard blockOutChannels.allSatisfy({ (1...8192).contains($0) }) else {
            throw refuse("block_out_channels", "1 to 8192 channels are wanted")
        }
        guard timeWidth <= 65_536 else { throw refuse("time_embedding_dim", "1 to 65536 are wanted, not \(timeWidth)") }
        guard downBlocks.count == blockOutChannels.count else {
            throw refuse("down_block_types", "one is wanted for each of block_out_channels")
        }
        guard upBlocks.count == blockOutChannels.count else {
            throw refuse("up_block_types", "one is wanted for each of block_out_channels")
        }
        guard (1...16).contains(layersPerBlock) else { throw refuse("layers_per_block", "1 to 16 are wanted") }
        guard downsamplePadding <= 1 else { throw refuse("downsample_padding", "only 0 and 1 are supported here") }
        guard (0..<1).contains(dropout) else { throw refuse("dropout", "a probability below 1 is wanted") }
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
        if let side = sampleSize?.min(), side >> (blockOutChannels.count - 1) == 0 {
            throw refuse("sample_size", "it is halved \(blockOutChannels.count - 1) times and would vanish")
        }
        guard !isSelfConditioned || inChannels == 2 * outChannels else {
            throw refuse("in_channels", "a self-conditioned network takes twice out_channels: x_t and its last x̂_0")
        }
        try checkTime()
        try checkHeads()
        try checkText()
    }

    private func checkTime() throws(DiffusionError) {
        switch timeEmbeddingType {
        case .positional:
            guard blockOutChannels[0] > 3, freqShift >= 0, freqShift < Double(blockOutChannels[0] / 2) else {
                throw refuse(
                    "freq_shift", "it must lie below half of block_out_channels' first, which must be 4 or more")
            }
        case .learned:
            guard trainTimesteps != nil else {
                throw refuse("num_train_timesteps", "a learned time embedding has a row for each: say how many")
            }
        case .fourier: break
        }
    }

    /// Resolutions at which pixels look at each other, 0 the highest.
    private var attendedLevels: [Int] {
        let levels = blockOutChannels.indices
        return levels.filter { downBlocks[$0] == .attention }
            + levels.filter { upBlocks[levels.count - 1 - $0] == .attention }
            + (midBlock == .attention && addAttention ? [levels.count - 1] : [])
    }

    private func checkHeads() throws(DiffusionError) {
        if let head = attentionHeadDim, attendedLevels.contains(where: { blockOutChannels[$0] < head }) {
            throw refuse("attention_head_dim", "a head cannot be wider than the block it is in")
        }
    }

    private func checkText() throws(DiffusionError) {
        guard let text else {
            guard !wantsText else {
                let key =
                    downBlocks.contains(.crossAttention)
                    ? "down_block_types" : midBlock == .crossAttention ? "mid_block_type" : "up_block_types"
                throw refuse(key, "a UNet2DModel has no blocks that look at text; a UNet2DConditionModel has")
            }
            return
        }
        for (level, channels) in blockOutChannels.enumerated() where !channels.isMultiple(of: text.heads[level]) {
            throw refuse("attention_head_dim", "the number of heads must divide every one of block_out_channels")
        }
        if !attendedLevels.isEmpty, Set(text.heads).count > 1 {
            throw refuse("attention_head_dim", "beside AttnDownBlock2D or AttnUpBlock2D only one number is supported")
        }
        guard text.layers.allSatisfy({ $0 <= 64 }) else {
            throw refuse("transformer_layers_per_block", "1 to 64 are wanted")
        }
    }

    private func refuse(_ key: String, _ what: String) -> DiffusionError {
        DiffusionError(.badConfig, "\(ModelDirectory.configFile): key '\(key)': \(what)")
    }
}

extension UNetConfiguration {
    /// Whether images of this shape can go through and come out as the same shape.
    ///
    /// - Throws: `badConfig`, naming the key at fault.
    package func check(channels: Int, height: Int, width: Int) throws(DiffusionError) {
        let factor = 1 << (blockOutChannels.count - 1)
        guard imageChannels == channels else {
            throw refuse("in_channels", "the run's images have \(channels) channels, not \(imageChannels)")
        }
        guard outChannels == channels else {
            throw refuse("out_channels", "the run's images have \(channels) channels, not \(outChannels)")
        }
        guard height.isMultiple(of: factor), width.isMultiple(of: factor) else {
            throw refuse(
                "block_out_channels",
                "images of \(height)×\(width) cannot be halved \(blockOutChannels.count - 1) times")
        }
        // The network takes other sizes too, but was trained on this one.
        if let sampleSize, sampleSize != [height, width] {
            throw refuse(
                "sample_size", "the run's images are \(height)×\(width), not \(sampleSize[0])×\(sampleSize[1])")
        }
    }

    /// Whether images of the size that the network was trained on can go through. One without such a size takes any that can.
    ///
    /// - Throws: `badConfig`
    func checkSampleSize() throws(DiffusionError) {
        let factor = 1 << (blockOutChannels.count - 1)
        guard let sampleSize, !sampleSize.allSatisfy({ $0.isMultiple(of: factor) }) else { return }
        throw refuse(
            "sample_size",
            "images of \(sampleSize[0])×\(sampleSize[1]) cannot be halved \(blockOutChannels.count - 1) times: both sides must be divisible by \(factor)"
        )
    }

    /// Whether a network of this kind can take part in a chain, where it is told timesteps, labels and nothing else.
    ///
    /// - Throws: `badConfig`, naming the key at fault.
    func checkChain() throws(DiffusionError) {
        guard timeEmbeddingType != .fourier else {
            throw refuse(
                "time_embedding_type",
                "'fourier' is told noise levels, which have no place among a schedule's timesteps")
        }
        if let classEmbedding {
            throw refuse("class_embed_type", "'\(classEmbedding.rawValue)' is not told labels 0…C, as jobs are")
        }
        guard imageChannels == outChannels else {
            throw refuse(
                "out_channels",
                "\(outChannels) come out where \(imageChannels) went in: networks that learned a variance or take another image beside x_t are not supported in a chain"
            )
        }
    }

    /// - Throws: `badConfig` for what is of effect in training alone and not done here.
    package func checkTrainable() throws(DiffusionError) {
        guard dropout == 0 else { throw refuse("dropout", "it is not done in training here: set it to 0") }
        guard text == nil else { throw refuse("_class_name", "a UNet2DConditionModel can be run, not trained here") }
    }
}

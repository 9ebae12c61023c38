package import Chain
internal import Foundation
package import Topology

extension RunDescriptor {
    /// The run that a topology describes.
    ///
    /// - Parameters:
    ///   - nonce: 16 random bytes.
    ///   - created: Unix time in milliseconds.
    package init(_ topology: Topology, nonce: [UInt8], created: Int64) throws(ChainError) {
        let run = topology.run
        try self.init(
            name: run.name, schedule: Schedule(run),
            image: ImageShape(channels: run.image.channels, height: run.image.height, width: run.image.width),
            labels: run.labels, backboneConfig: run.unetConfiguration,
            allowedCuts: Set(topology.clients.map(\.cut)).sorted(), nonce: nonce, created: created)
    }
}

extension Schedule {
    init(_ run: Topology.Run) throws(ChainError) {
        try self.init(run.schedule, timesteps: run.timesteps, offsetNoise: run.offsetNoise)
    }

    /// - Throws: `badSchedule` for numbers of which no schedule can be made.
    init(_ schedule: Topology.Run.Schedule, timesteps: Int, offsetNoise: Double) throws(ChainError) {
        func within(_ plain: Kind, _ kind: (Double, Double) -> Kind) -> Kind {
            if let start = schedule.start, let end = schedule.end { kind(start, end) } else { plain }
        }
        let kind: Kind =
            switch schedule.kind {
            case .linear: within(.linear()) { .linear(start: $0, end: $1) }
            case .scaledLinear: within(.scaledLinear()) { .scaledLinear(start: $0, end: $1) }
            case .betaSigmoid: within(.betaSigmoid()) { .betaSigmoid(start: $0, end: $1) }
            case .sigmoid: within(.sigmoid(tau: schedule.tau)) { .sigmoid(start: $0, end: $1, tau: schedule.tau) }
            case .cosine: schedule.offset.map { .cosine(offset: $0) } ?? .cosine()
            case .table: .table(schedule.betas)
            }
        try self.init(kind, timesteps: timesteps, offsetNoise: offsetNoise, isRescaled: schedule.isRescaled)
    }
}

extension Topology.Run {
    /// `config.json` of a diffusers `UNet2DModel`; the last class is "none".
    var unetConfiguration: String {
        let down = backbone.attention.map { $0 ? "AttnDownBlock2D" : "DownBlock2D" }
        let up = backbone.attention.reversed().map { $0 ? "AttnUpBlock2D" : "UpBlock2D" }
        var fields: [String: Any] = [
            "_class_name": "UNet2DModel",
            "act_fn": "silu",
            "add_attention": true,
            "attention_head_dim": backbone.headWidth,
            "block_out_channels": backbone.channels,
            "center_input_sample": false,
            "class_embed_type": NSNull(),
            "down_block_types": down,
            "downsample_padding": 1,
            "downsample_type": "conv",
            "dropout": 0.0,
            "flip_sin_to_cos": true,
            "freq_shift": 0,
            "in_channels": backbone.selfConditioning ? 2 * image.channels : image.channels,
            "layers_per_block": backbone.layers,
            "mid_block_scale_factor": 1,
            "norm_eps": 1e-5,
            "norm_num_groups": backbone.groups,
            "num_class_embeds": labels.isEmpty ? NSNull() : labels.count + 1,
            "out_channels": image.channels,
            "resnet_time_scale_shift": "default",
            "sample_size": image.height == image.width ? image.height : [image.height, image.width],
            "time_embedding_type": "positional",
            "up_block_types": up,
            "upsample_type": "conv",
        ]
        if backbone.selfConditioning { fields["_collafuse_self_conditioning"] = true }
        // Keys in order: the run id is a hash of these bytes. Only strings, numbers and null are in there.
        guard let json = try? JSONSerialization.data(withJSONObject: fields, options: [.sortedKeys]) else {
            preconditionFailure("a dictionary of plain values is always JSON")
        }
        return String(decoding: json, as: UTF8.self)
    }
}

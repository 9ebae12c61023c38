import ArgumentParser
import Chain
import Diffusion
import Foundation
import Torch

/// `collafuse model info`
struct ModelInfo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Say what a model's folder holds: network, schedule, what it was trained for.",
        discussion: """
            Takes any folder in diffusers' layout with a UNet2DModel or UNet2DConditionModel: a backbone from a registry, a head from \
            a client's home, or a checkpoint from elsewhere. Everything is read and checked; what does not fit is named.

              collafuse model info --model out/demo/models/v00000008
            """)

    @OptionGroup var model: ModelOption

    func run() throws {
        let network = try UNet(contentsOf: model.url, dtype: nil)
        let scheduler = try ModelDirectory.scheduler(of: model.url), record = try ModelDirectory.record(of: model.url)
        var lines = network.lines(labels: record?.labels)
        if let scheduler {
            let sampling = scheduler.sampling
            lines += [
                ("schedule", scheduler.schedule.summary), ("predicts", scheduler.prediction.rawValue),
                ("made for", "\(sampling.family.rawValue), \(sampling.spacing.rawValue) spacing"),
            ]
            lines += sampling.unsupported.map {
                ("not done", "\($0.key) \($0.value): \($0.samplers.map(\.rawValue).joined(separator: ", ")) refuse it")
            }
        } else {
            lines.append(("schedule", "none: the folder has no \(ModelDirectory.schedulerFile)"))
        }
        if let record { lines += record.lines }
        for (name, value) in lines { print(name.padding(toLength: 14, withPad: " ", startingAt: 0) + value) }
    }
}

extension UNet {
    /// - Parameter labels: of the run that it was trained in; nil: nobody wrote that down.
    fileprivate func lines(labels: Int?) -> [(String, String)] {
        let configuration = configuration
        var lines = [
            (
                "network",
                "\(configuration.text == nil ? "UNet2DModel" : "UNet2DConditionModel"), \(parameterCount) parameters in \(parameters.count) tensors, \(dtype)"
            ),
            ("channels", configuration.blockOutChannels.map(String.init).joined(separator: ", ")),
            ("blocks", configuration.downBlocks.map(\.rawValue).joined(separator: ", ")),
            (
                "images",
                "\(configuration.imageChannels) channels, \(configuration.sampleSize.map { "\($0)" } ?? "any size")"
                    + (configuration.isSelfConditioned ? ", with its own last guess beside them" : "")
            ),
        ]
        lines += classes(labels: labels).map { ("classes", $0) }
        if configuration.wantsText, let text = configuration.text {
            lines.append(("text", "embeddings of \(text.width) values a token"))
        }
        return lines
    }

    /// What `class_labels` are to it, and what follows for labels in a run and for guidance.
    private func classes(labels: Int?) -> [String] {
        switch configuration.classEmbedding {
        case .timestep:
            return [
                "class_embed_type timestep: numbers, embedded as timesteps are; `model run` takes them, a run does not"
            ]
        case .identity:
            return [
                "class_embed_type identity: vectors of \(configuration.timeWidth); `model run` takes them, a run does not"
            ]
        case nil: break
        }
        guard let rows = configuration.classEmbeddings else { return ["none: samples take no label"] }
        let known = "num_class_embeds \(rows): "
        switch labels {
        case rows: return [known + "labels 0…\(rows - 1), no row for none: samples cannot be guided"]
        case rows - 1 where rows > 1:
            return [known + "labels 0…\(rows - 2), and \(rows - 1) for none: samples can be guided"]
        default:
            return [
                known + "labels 0…\(rows - 1); whether the last stands for none is not written down.",
                "`sample --local` takes it so with --guidance, a run with \(rows - 1) labels always, one with \(rows) never.",
            ]
        }
    }
}

extension ModelRecord {
    fileprivate var lines: [(String, String)] {
        var lines = [
            ("role", role.rawValue), ("version", "\(version)"), ("run", run),
            ("trained on", "\(imagesSeen) images at timesteps \(firstTimestep)…\(lastTimestep)"),
            ("labels seen", trainedLabels.map(String.init).joined(separator: ", ")),
        ]
        if role == .backbone { lines.append(("lowest cut", "\(lowestCut)")) }
        return lines
    }
}

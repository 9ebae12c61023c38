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
        var lines = network.lines
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
    fileprivate var lines: [(String, String)] {
        let configuration = configuration
        let classes: String =
            switch configuration.classEmbedding {
            case .timestep: "numbers, embedded as timesteps are"
            case .identity: "vectors of \(configuration.timeWidth)"
            case nil: configuration.classEmbeddings.map { "\($0), the last for none" } ?? "none"
            }
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
            ("classes", classes),
        ]
        if configuration.wantsText, let text = configuration.text {
            lines.append(("text", "embeddings of \(text.width) values a token"))
        }
        return lines
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

import ArgumentParser
import Chain
import Diffusion
import Foundation
import Torch

/// `collafuse model`
struct Model: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at models.", subcommands: [Info.self])

    /// `collafuse model info`
    struct Info: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what a model's folder holds: network, schedule, what it was trained for.",
            discussion: """
                Takes any folder in diffusers' layout with a UNet2DModel: a backbone from a registry, a head from a client's home, or a \
                checkpoint from elsewhere. Everything is read and checked; what does not fit is named.

                  collafuse model info --model out/demo/models/v00000008
                """)

        @Option(
            name: .long, help: ArgumentHelp("The folder with config.json and the weights.", valueName: "dir"),
            completion: .directory)
        var model: String

        func run() throws {
            let model = try ModelDirectory(contentsOf: URL(filePath: model))
            let configuration = model.network.configuration
            var lines = [
                (
                    "network",
                    "UNet2DModel, \(model.network.parameterCount) parameters in \(model.network.parameters.count) tensors"
                ),
                ("channels", configuration.blockOutChannels.map(String.init).joined(separator: ", ")),
                ("blocks", configuration.downBlocks.map(\.rawValue).joined(separator: ", ")),
                (
                    "images",
                    "\(configuration.inChannels) channels, \(configuration.sampleSize.map { "\($0)" } ?? "any size")"
                ),
                ("classes", configuration.classEmbeddings.map { "\($0), the last for none" } ?? "none"),
                ("schedule", "\(model.schedule.kind), T = \(model.schedule.timesteps)"),
                ("predicts", model.prediction.rawValue),
            ]
            if let record = model.record {
                lines += [
                    ("role", record.role.rawValue), ("version", "\(record.version)"), ("run", record.run),
                    (
                        "trained on",
                        "\(record.imagesSeen) images at timesteps \(record.firstTimestep)…\(record.lastTimestep)"
                    ),
                    ("labels seen", record.trainedLabels.map(String.init).joined(separator: ", ")),
                ]
                if record.role == .backbone { lines.append(("lowest cut", "\(record.lowestCut)")) }
            }
            for (name, value) in lines { print(name.padding(toLength: 14, withPad: " ", startingAt: 0) + value) }
        }
    }
}

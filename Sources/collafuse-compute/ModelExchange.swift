import ArgumentParser
import Chain
import Foundation
import Torch
import Trust
import Wire
import Worker

/// `collafuse model import`
struct ModelImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Place a checkpoint in a registry, as the next version of a run's backbone.",
        discussion: """
            The checkpoint must fit the run: shape of the images, schedule (scheduler_config.json), labels (one class embedding for \
            each, and one more for none if samples are to be guided). All weights must be there and finite. What does not fit is \
            named. Denoising workers take the version up by themselves.

              collafuse model import --model ddpm-cifar10-32 --registry models --deployment keys/public

            The deployment's own root key is believed: do this on the operator's machine.
            """)

    @OptionGroup var model: ModelOption

    @Option(
        name: .long, help: ArgumentHelp("The folder of backbone versions.", valueName: "dir"), completion: .directory)
    var registry: String

    @Option(
        name: .long, help: ArgumentHelp("The deployment folder, which says what the run is.", valueName: "dir"),
        completion: .directory)
    var deployment: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("The first digits of the run's id, where the deployment has several runs.", valueName: "id"))
    var runID: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The lowest cut that it may denoise to. When left out: as its record says, or 0 where it has none.",
            valueName: "timestep"))
    var lowestCut: Int?

    @Option(
        name: .long,
        help: ArgumentHelp("float32, bfloat16, float16, or `stored`: what its weights become.", valueName: "type"))
    var dtype = WeightType.stored

    func run() throws {
        let now = UnixTime(Date().timeIntervalSince1970 * 1000)
        let certified = try Deployment(opening: URL(filePath: deployment), pinned: nil, now: now).run(runID)
        let version = try ModelRegistry(directory: URL(filePath: registry), run: certified.id).take(
            model.url, for: certified.descriptor, lowestCut: lowestCut, dtype: dtype.dtype)
        print(
            "version \(version.number) of \(certified.descriptor.name), down to the cut \(version.lowestCut), in \(registry)"
        )
    }
}

/// `collafuse model export`
struct ModelExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Copy a version out of a registry, for Python or for another run.",
        discussion: """
            The weights are read and checked on the way. What comes out is a folder that diffusers opens:

              collafuse model export --registry out/demo/models --out exported
              python -c 'from diffusers import UNet2DModel; UNet2DModel.from_pretrained("exported")'
            """)

    @Option(
        name: .long, help: ArgumentHelp("The folder of backbone versions.", valueName: "dir"), completion: .directory)
    var registry: String

    @Option(name: .long, help: ArgumentHelp("Which version; the newest when left out.", valueName: "n"))
    var version: UInt64?

    @Option(
        name: .long, help: ArgumentHelp("A folder that is not there yet.", valueName: "dir"), completion: .directory)
    var out: String

    @Option(
        name: .long,
        help: ArgumentHelp("float32, bfloat16, float16, or `stored`: what its weights become.", valueName: "type"))
    var dtype = WeightType.stored

    func run() throws {
        let number = try ModelRegistry.give(
            version, from: URL(filePath: registry), to: URL(filePath: out), dtype: dtype.dtype)
        print("version \(number) is in \(out)")
    }
}

import ArgumentParser
import Diffusion
import Foundation
import Torch

/// `collafuse model`
struct Model: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at models, run them, and move them in and out of a registry.",
        discussion: """
            A model is a folder in diffusers' layout: config.json, diffusion_pytorch_model.safetensors (or its shards), and \
            scheduler_config.json. Checkpoints from elsewhere run here, and models trained here open in Python:

              UNet2DModel.from_pretrained("exported")
            """,
        subcommands: [ModelInfo.self, ModelRun.self, ModelImport.self, ModelExport.self])
}

/// The folder of a model.
struct ModelOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The folder with config.json and the weights, or a pipeline's with `unet/` and `scheduler/`.",
            valueName: "dir"),
        completion: .directory)
    var model: String

    var url: URL { URL(filePath: model) }
}

/// What weights become.
enum WeightType: String, ExpressibleByArgument, CaseIterable {
    case float32, bfloat16, float16, stored

    /// nil: what they are in the file.
    var dtype: DType? {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .float16: .float16
        case .stored: nil
        }
    }
}

/// `cpu`, `cuda` or `cuda:1`.
struct DeviceName: ExpressibleByArgument {
    let device: Device

    static let cpu = DeviceName(.cpu)

    private init(_ device: Device) { self.device = device }

    init?(argument: String) {
        switch argument.split(separator: ":", omittingEmptySubsequences: false) {
        case ["cpu"]: device = .cpu
        case ["cuda"]: device = .cuda(0)
        case let parts where parts.count == 2 && parts[0] == "cuda":
            guard let index = Int(parts[1]), (0..<256).contains(index) else { return nil }
            device = .cuda(index)
        default: return nil
        }
    }

    var defaultValueDescription: String { device.description }

    /// - Throws: a `ValidationError` for a device that this machine, or this libtorch, has not.
    func check() throws {
        do throws(TorchError) { try device.check() } catch { throw ValidationError(error.message) }
    }
}

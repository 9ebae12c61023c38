package import Chain
internal import Disk
package import Foundation
internal import Safetensors
package import Torch

/// A model as a folder in diffusers' layout:
///
///     config.json                             the U-Net's, for UNet2DModel.from_pretrained(folder)
///     diffusion_pytorch_model.safetensors     its weights
///     scheduler_config.json                   DDPMScheduler.from_pretrained(folder)
///     collafuse.json                          version, coverage, labels; missing in checkpoints from elsewhere
///
/// A pipeline's folder, with the U-Net in `unet/` and the scheduler in `scheduler/`, is read too.
///
/// A folder is written under another name, synced and renamed, so that a reader finds all of it or none.
package struct ModelDirectory {
    package static let configFile = "config.json"
    package static let weightsFile = ModelWeights.file
    package static let schedulerFile = "scheduler_config.json"
    package static let recordFile = "collafuse.json"

    package let network: UNet
    package let scheduler: SchedulerConfiguration
    /// nil: the checkpoint was made elsewhere.
    package let record: ModelRecord?

    package var schedule: Schedule { scheduler.schedule }
    package var prediction: Prediction { scheduler.prediction }

    package init(network: UNet, scheduler: SchedulerConfiguration, record: ModelRecord?) {
        self.network = network
        self.scheduler = scheduler
        self.record = record
    }

    /// Of a model that was trained here.
    package init(network: UNet, schedule: Schedule, prediction: Prediction, record: ModelRecord?) {
        self.init(
            network: network, scheduler: SchedulerConfiguration(schedule: schedule, prediction: prediction),
            record: record)
    }

    /// Reads and checks everything: a network that comes out of this has every weight, finite and in place.
    ///
    /// - Parameter dtype: what the weights are converted to, and computed in; nil: what they are in the file.
    /// - Throws: `badDirectory` for a missing or unreadable file, `badConfig` naming the key, `badModel` naming the tensor.
    package init(
        contentsOf folder: URL, dtype: DType? = .float32, device: Device = .cpu
    ) throws(DiffusionError) {
        guard let scheduler = try Self.scheduler(of: folder) else {
            throw DiffusionError(
                .badDirectory,
                "\(folder.path) has no \(Self.schedulerFile): save the scheduler beside the model, with save_pretrained(DIR)"
            )
        }
        self.scheduler = scheduler
        record = try Self.record(of: folder)
        if let record, record.lastTimestep > scheduler.schedule.timesteps {
            throw DiffusionError(
                .badDirectory, "\(Self.recordFile) names timesteps past the schedule's \(scheduler.schedule.timesteps)")
        }
        network = try UNet(contentsOf: folder, dtype: dtype, device: device)
    }

    /// - Parameter replacing: whether a folder of this name may be replaced. A reader who opens it finds the old one or the new one;
    ///   one who is reading while it is replaced may find files gone: where that happens, each version takes a new name.
    /// - Throws: `badDirectory` when a file cannot be written, or the folder exists and is not to be replaced; `badModel` for weights
    ///   that are not finite.
    package func write(
        to folder: URL, replacing: Bool = false, isPrivate: Bool = false
    ) throws(DiffusionError) {
        let weights: SafetensorsArchive
        do { weights = try network.state() } catch { throw DiffusionError(.badModel, error.message) }
        guard network.parameters.allSatisfy(\.isFinite) else {
            throw DiffusionError(
                .badModel, "the model holds NaN or infinity: its training diverged, and it is not written")
        }
        var files = [
            (Self.configFile, Data(network.configuration.json.utf8)),
            (Self.weightsFile, weights.encoded()),
            (Self.schedulerFile, Data(scheduler.json.utf8)),
        ]
        if let record { files.append((Self.recordFile, Data(record.json.utf8))) }
        do { try DurableFolder.write(files, to: folder, replacing: replacing, isPrivate: isPrivate) } catch {
            throw DiffusionError(.badDirectory, "the model cannot be written: \(error.message)")
        }
    }

    /// nil: there is no scheduler.
    package static func scheduler(of folder: URL) throws(DiffusionError) -> SchedulerConfiguration? {
        let folder = part("scheduler", of: folder, holding: schedulerFile)
        guard FileManager.default.fileExists(atPath: folder.appending(path: schedulerFile).path) else { return nil }
        return try SchedulerConfiguration(json: text(folder, schedulerFile))
    }

    /// nil: there is no record, as in checkpoints from elsewhere.
    package static func record(of folder: URL) throws(DiffusionError) -> ModelRecord? {
        guard FileManager.default.fileExists(atPath: folder.appending(path: recordFile).path) else { return nil }
        return try ModelRecord(contentsOf: folder)
    }

    /// The folder itself, or the part of a pipeline where the folder has not the file and the part has.
    static func part(_ name: String, of folder: URL, holding file: String) -> URL {
        let part = folder.appending(path: name)
        func holds(_ folder: URL) -> Bool {
            FileManager.default.fileExists(atPath: folder.appending(path: file).path)
        }
        return !holds(folder) && holds(part) ? part : folder
    }

    static func text(_ folder: URL, _ name: String) throws(DiffusionError) -> String {
        do { return String(decoding: try Data(contentsOf: folder.appending(path: name)), as: UTF8.self) } catch {
            throw DiffusionError(
                .badDirectory, "\(folder.path) has no \(name) that can be read: is it a model's folder?")
        }
    }
}

extension UNet {
    /// The network in a model's folder, or in the `unet` of a pipeline's; without a scheduler.
    ///
    /// - Parameter dtype: what the weights are converted to, and computed in; nil: what they are in the file.
    /// - Throws: `badDirectory` for a missing or unreadable file, `badConfig` naming the key, `badModel` naming the tensor.
    package init(contentsOf folder: URL, dtype: DType? = .float32, device: Device = .cpu) throws(DiffusionError) {
        let folder = ModelDirectory.part("unet", of: folder, holding: ModelDirectory.configFile)
        let configuration = try UNetConfiguration(json: ModelDirectory.text(folder, ModelDirectory.configFile))
        let weights = try ModelWeights(contentsOf: folder)
        do {
            self = try TorchError.catching {
                var source = ParameterSource.unfilled(dtype: dtype ?? weights.dtype, device: device)
                let network = UNet(configuration, &source)
                try weights.fill(network)
                return network
            }
        } catch let error as TorchError {
            throw DiffusionError(.badModel, "\(folder.path) cannot become a network", because: error)
        } catch let error as DiffusionError {
            throw error
        } catch {
            throw DiffusionError(.badModel, "\(folder.path) cannot become a network: \(error)")
        }
    }
}

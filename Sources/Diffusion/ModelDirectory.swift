package import Chain
internal import Disk
package import Foundation
internal import Safetensors
internal import Torch

/// A model as a folder in diffusers' layout:
///
///     config.json                             the U-Net's, for UNet2DModel.from_pretrained(folder)
///     diffusion_pytorch_model.safetensors     its weights
///     scheduler_config.json                   DDPMScheduler.from_pretrained(folder)
///     collafuse.json                          version, coverage, labels; missing in checkpoints from elsewhere
///
/// A folder is written under another name, synced and renamed, so that a reader finds all of it or none.
package struct ModelDirectory {
    package static let configFile = "config.json"
    package static let weightsFile = "diffusion_pytorch_model.safetensors"
    package static let schedulerFile = "scheduler_config.json"
    package static let recordFile = "collafuse.json"

    package let network: UNet
    package let schedule: Schedule
    package let prediction: Prediction
    /// nil: the checkpoint was made elsewhere.
    package let record: ModelRecord?

    package init(network: UNet, schedule: Schedule, prediction: Prediction, record: ModelRecord?) {
        self.network = network
        self.schedule = schedule
        self.prediction = prediction
        self.record = record
    }

    /// Reads and checks everything: a network that comes out of this has every weight, finite and in place.
    ///
    /// - Throws: `badDirectory` for a missing or unreadable file, `badConfig` naming the key, `badModel` naming the tensor.
    package init(contentsOf folder: URL) throws(DiffusionError) {
        let configuration = try UNetConfiguration(json: Self.text(folder, Self.configFile))
        let scheduler = try SchedulerConfiguration(json: Self.text(folder, Self.schedulerFile))
        schedule = scheduler.schedule
        prediction = scheduler.prediction
        let recordURL = folder.appending(path: Self.recordFile)
        record =
            FileManager.default.fileExists(atPath: recordURL.path)
            ? try ModelRecord(json: Data(Self.text(folder, Self.recordFile).utf8)) : nil
        if let record, record.lastTimestep > schedule.timesteps {
            throw DiffusionError(
                .badDirectory, "\(Self.recordFile) names timesteps past the schedule's \(schedule.timesteps)")
        }
        var source = ParameterSource.zeros()
        network = UNet(configuration, &source)
        let weights: SafetensorsArchive
        do { weights = try SafetensorsArchive(contentsOf: folder.appending(path: Self.weightsFile)) } catch {
            throw DiffusionError(.badModel, "\(folder.lastPathComponent)/\(Self.weightsFile): \(error.message)")
        }
        do { try network.load(weights) } catch {
            throw DiffusionError(.badModel, "\(folder.lastPathComponent)/\(Self.weightsFile): \(error.message)")
        }
    }

    /// - Parameter replacing: whether a folder of this name may be replaced. A reader who opens it finds the old one or the new one;
    ///   one who is reading while it is replaced may find files gone: where that happens, each version takes a new name.
    /// - Throws: `badDirectory` when a file cannot be written, or the folder exists and is not to be replaced; `badModel` for weights
    ///   that are not finite.
    package func write(to folder: URL, replacing: Bool = false) throws(DiffusionError) {
        let weights: SafetensorsArchive
        do { weights = try network.state() } catch { throw DiffusionError(.badModel, error.message) }
        guard network.parameters.allSatisfy(\.isFinite) else {
            throw DiffusionError(
                .badModel, "the model holds NaN or infinity: its training diverged, and it is not written")
        }
        var files = [
            (Self.configFile, Data(network.configuration.json.utf8)),
            (Self.weightsFile, weights.encoded()),
            (Self.schedulerFile, Data(SchedulerConfiguration(schedule: schedule, prediction: prediction).json.utf8)),
        ]
        if let record { files.append((Self.recordFile, Data(record.json.utf8))) }
        do { try DurableFolder.write(files, to: folder, replacing: replacing) } catch {
            throw DiffusionError(.badDirectory, "the model cannot be written: \(error.message)")
        }
    }

    private static func text(_ folder: URL, _ name: String) throws(DiffusionError) -> String {
        do { return String(decoding: try Data(contentsOf: folder.appending(path: name)), as: UTF8.self) } catch {
            throw DiffusionError(
                .badDirectory, "\(folder.path) has no \(name) that can be read: is it a model's folder?")
        }
    }
}

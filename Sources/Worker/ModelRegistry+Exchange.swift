package import Chain
internal import Diffusion
package import Foundation
package import Torch
internal import Workbench

// How models from elsewhere get into a registry, and out of it.

extension ModelRegistry {
    /// Places a checkpoint as the next version, so that denoising workers take it from there.
    ///
    /// Everything that a worker would stumble over is checked first: the shape of images, schedule, labels, weights.
    /// - Parameters:
    ///   - folder: in diffusers' layout, with or without a record of ours.
    ///   - lowestCut: the lowest timestep that it can denoise to; nil: what its record says, or 0 without one, as for a model trained on
    ///     the whole chain.
    ///   - dtype: what its weights become; nil: what they are.
    /// - Throws: `badRegistry` for a model of another schedule, and for a head; `DiffusionError` naming what is at fault.
    package func take(
        _ folder: URL, for descriptor: RunDescriptor, lowestCut: Int? = nil, dtype: DType? = nil
    ) throws -> Version {
        let model = try ModelDirectory(contentsOf: folder, dtype: dtype)
        let image = descriptor.image, top = descriptor.schedule.timesteps
        try model.network.configuration.check(channels: image.channels, height: image.height, width: image.width)
        guard model.schedule == descriptor.schedule else {
            let key = model.schedule.timesteps == top ? "beta_schedule" : "num_train_timesteps"
            throw WorkerError(
                .badRegistry,
                "\(folder.path)/\(ModelDirectory.schedulerFile): key '\(key)': the model was trained on \(model.schedule.summary), "
                    + "and the run has \(descriptor.schedule.summary)")
        }
        guard model.record?.role != .head else {
            throw WorkerError(
                .badRegistry,
                "\(folder.path) is a client's head, which knows the timesteps below its cut: a backbone is wanted")
        }
        let denoiser = try Denoiser(
            model.network, on: model.schedule, predicting: model.prediction, labels: descriptor.labels.count,
            withText: true)
        let lowest = lowestCut ?? model.record?.lowestCut ?? 0
        guard (0..<top).contains(lowest) else {
            throw WorkerError(.badRegistry, "the lowest cut lies in 0…\(top - 1), not at \(lowest)")
        }
        return try add(
            denoiser,
            ModelRecord(
                role: .backbone, version: 0, imagesSeen: model.record?.imagesSeen ?? 0, timesteps: lowest + 1...top,
                labels: denoiser.labels, trainedLabels: model.record?.trainedLabels ?? Array(0..<denoiser.labels)),
            scheduler: model.scheduler)
    }

    /// Copies a version to a folder that diffusers' `from_pretrained` opens.
    ///
    /// - Parameters:
    ///   - version: nil: the newest.
    ///   - dtype: what its weights become; nil: what they are.
    /// - Returns: the version.
    /// - Throws: `badRegistry` where there is no such version; what reading and writing a model's folder throws.
    package static func give(
        _ version: UInt64? = nil, from directory: URL, to folder: URL, dtype: DType? = nil
    ) throws -> UInt64 {
        let numbers = numbers(in: directory)
        guard let number = version ?? numbers.last, numbers.contains(number) else {
            let known = numbers.suffix(8).map(String.init).joined(separator: ", ")
            throw WorkerError(
                .badRegistry,
                numbers.isEmpty
                    ? "\(directory.path) holds no version: is it a model registry?"
                    : "\(directory.path) has no version \(version ?? 0); there are: \(known)")
        }
        try ModelDirectory(contentsOf: Self.folder(number, in: directory), dtype: dtype).write(to: folder)
        return number
    }
}

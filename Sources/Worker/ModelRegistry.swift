package import Chain
package import Diffusion
package import Foundation
package import Torch
package import Wire
package import Workbench

/// The backbones of a run, numbered: a folder that the trainer writes and denoising workers read.
///
///     registry/
///         v00000001/      a model's folder in diffusers' layout
///         v00000002/
///
/// A version appears by a rename, so it is there whole or not at all, and never changes afterwards.
package struct ModelRegistry: Sendable {
    package struct Version: Hashable, Sendable {
        package let number: UInt64
        package let imagesSeen: UInt64
        package let lowestCut: Int
        package let trainedLabels: [Int]

        package var message: WireModelVersion {
            var message = WireModelVersion()
            message.version = number
            message.imagesSeen = imagesSeen
            message.lowestCut = UInt32(lowestCut)
            return message
        }
    }

    private let directory: URL
    private let run: RunID

    /// How many versions stay on disk at least: a broker may not have heard yet which of them samples began with.
    package static let kept = 4

    /// - Throws: `badRegistry` when the folder cannot be made.
    package init(directory: URL, run: RunID) throws(WorkerError) {
        self.directory = directory
        self.run = run
        do { try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true) } catch {
            throw WorkerError(
                .badRegistry, "the model registry \(directory.path) cannot be made: \(error.localizedDescription)")
        }
    }

    /// The newest version whose record can be read; nil: there is none yet.
    package var newest: Version? { newest(except: []) }

    /// - Parameters:
    ///   - broken: versions that are passed over.
    ///   - unusable: told of every newer folder that has a version's name and is none of this run, with why.
    package func newest(
        except broken: Set<UInt64>, _ unusable: (UInt64, any Error) -> Void = { _, _ in }
    ) -> Version? {
        for number in numbers.reversed() where !broken.contains(number) {
            do { return Version(try record(number)) } catch { unusable(number, error) }
        }
        return nil
    }

    /// A version under its number; nil: there is none, or no more.
    package func version(_ number: UInt64) -> Version? { (try? record(number)).map { Version($0) } }

    /// The network's config, as it lies beside the weights; nil: it is none that can be read.
    package func configuration(of version: Version) -> String? {
        let file = folder(version.number).appending(path: ModelDirectory.configFile)
        guard let text = try? String(contentsOf: file, encoding: .utf8), (try? UNetConfiguration(json: text)) != nil
        else { return nil }
        return text
    }

    /// - Throws: `badRegistry` when it is not a model of this run; what reading a model's folder throws.
    package func load(
        _ version: Version, run descriptor: RunDescriptor, dtype: DType = .float32, device: Device = .cpu
    ) throws -> Denoiser<UNet> {
        let model = try ModelDirectory(contentsOf: folder(version.number), dtype: dtype, device: device)
        guard model.record?.run == "\(run)", model.schedule == descriptor.schedule else {
            throw WorkerError(.badRegistry, "\(folder(version.number).path) is a model of another run")
        }
        let image = descriptor.image
        try model.network.configuration.check(channels: image.channels, height: image.height, width: image.width)
        return try Denoiser(
            model.network, on: model.schedule, predicting: model.prediction, labels: descriptor.labels.count,
            withText: true)
    }

    /// Writes the next version and removes those of this run that are too old.
    ///
    /// - Parameter needed: versions that leases and checkpoints name: they stay, however old.
    package func publish(
        _ denoiser: Denoiser<UNet>, imagesSeen: UInt64, lowestCut: Int, trainedLabels: Set<Int>,
        keeping needed: Set<UInt64> = []
    ) throws -> Version {
        let version = try add(
            denoiser,
            ModelRecord(
                role: .backbone, version: 0, run: "", imagesSeen: imagesSeen,
                timesteps: lowestCut + 1...denoiser.schedule.timesteps, labels: denoiser.labels,
                trainedLabels: trainedLabels.filter { $0 < denoiser.labels }.sorted()))
        for number in numbers.dropLast(Self.kept) where !needed.contains(number) && self.version(number) != nil {
            try? FileManager.default.removeItem(at: folder(number))
        }
        return version
    }

    /// Writes the next version. None is removed: which are needed, the trainer knows.
    ///
    /// - Parameters:
    ///   - record: its version and run are this registry's to say.
    ///   - scheduler: how its maker sampled it; nil: it was trained here.
    /// - Throws: `badRegistry` when there is no higher number; what writing a model's folder throws.
    func add(
        _ denoiser: Denoiser<UNet>, _ record: ModelRecord, scheduler: SchedulerConfiguration? = nil
    ) throws -> Version {
        var record = record
        let (next, isTooHigh) = (numbers.last ?? 0).addingReportingOverflow(1)
        guard !isTooHigh else {
            throw WorkerError(
                .badRegistry, "\(folder(.max).path) has the last number that there is: remove it, it is no version")
        }
        record.version = next
        record.run = "\(run)"
        try ModelDirectory(
            network: denoiser.network,
            scheduler: scheduler ?? .init(schedule: denoiser.schedule, prediction: denoiser.prediction), record: record
        ).write(to: folder(record.version))
        return Version(record)
    }

    private func folder(_ number: UInt64) -> URL { Self.folder(number, in: directory) }

    static func folder(_ number: UInt64, in directory: URL) -> URL {
        directory.appending(path: String(format: "v%08llu", number))
    }

    /// - Throws: unless it is a whole version of this run under its own number.
    private func record(_ number: UInt64) throws -> ModelRecord {
        let record = try ModelRecord(contentsOf: folder(number))
        guard record.run == "\(run)" else {
            throw WorkerError(.badRegistry, "\(folder(number).path) is a model of another run")
        }
        guard record.version == number else {
            throw WorkerError(.badRegistry, "\(folder(number).path) holds version \(record.version)")
        }
        return record
    }

    /// Rising.
    private var numbers: [UInt64] { Self.numbers(in: directory) }

    static func numbers(in directory: URL) -> [UInt64] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.compactMap { $0.hasPrefix("v") ? UInt64($0.dropFirst()) : nil }.sorted()
    }
}

extension ModelRegistry.Version {
    init(_ record: ModelRecord) {
        self.init(
            number: record.version, imagesSeen: record.imagesSeen, lowestCut: record.lowestCut,
            trainedLabels: record.trainedLabels)
    }
}

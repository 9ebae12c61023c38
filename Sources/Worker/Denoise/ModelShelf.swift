internal import Chain
internal import Diffusion
internal import Foundation
internal import Logging
internal import Torch
internal import Wire
internal import Workbench

/// The backbone versions that a denoising worker has in memory: the newest, and one more that samples under way were begun with.
///
/// While both are in use no third is read: new admissions take the newest of the two, so the older one's samples come to their end.
struct ModelShelf {
    typealias Version = ModelRegistry.Version

    private let registry: ModelRegistry
    private let run: RunDescriptor
    let device: Device
    private let dtype: DType
    private let logger: Logger
    private let will: @Sendable (DenoiseWork) throws -> Void
    private var models: [UInt64: (version: Version, denoiser: Denoiser<RecordedNetwork<UNet>>)] = [:]
    private let recording = Recording()
    private(set) var newest: Version?
    private var nextLook = Date.distantPast
    /// A version that could not be read is not tried again.
    private var broken: Set<UInt64> = []
    /// Folders that are no version of the run, and were spoken of.
    private var passedOver: Set<UInt64> = []

    /// How often the registry is looked at, in seconds.
    private static let interval = 0.5
    /// Seconds until a version for which there was no memory is tried again.
    private static let memoryPause = 10.0
    private static let most = 2

    /// - Parameter will: called before a version is loaded: tests let it fail here.
    init(
        _ registry: ModelRegistry, run: RunDescriptor, device: Device = .cpu, dtype: DType = .float32, logger: Logger,
        will: @escaping @Sendable (DenoiseWork) throws -> Void = { _ in }
    ) {
        self.registry = registry
        self.run = run
        self.device = device
        self.dtype = dtype
        self.logger = logger
        self.will = will
    }

    func denoiser(_ version: UInt64) -> Denoiser<RecordedNetwork<UNet>>? { models[version]?.denoiser }
    func version(_ number: UInt64) -> Version? { models[number]?.version }

    /// Takes the newest version from the registry if there is a newer one; of one that cannot be read, the next time, the one before.
    ///
    /// - Parameter used: versions that samples still run on.
    /// - Returns: the version, when it has changed.
    mutating func refresh(keeping used: some Collection<UInt64>) -> Version? {
        guard Date() >= nextLook else { return nil }
        nextLook = Date(timeIntervalSinceNow: Self.interval)
        guard let version = lookForNewest(), version.number > newest?.number ?? 0 else { return nil }
        if models[version.number] == nil {
            guard makeRoom(keeping: used) else { return nil }
            do {
                models[version.number] = (version, try load(version))
            } catch  where error.isForMemory {
                nextLook = Date(timeIntervalSinceNow: Self.memoryPause)
                logger.warning(
                    "there is no memory for a backbone version; the one before goes on, and it is tried again",
                    metadata: ["version": "\(version.number)", "reason": "\(error)"])
                return nil
            } catch {
                broken.insert(version.number)
                logger.error(
                    "a backbone version cannot be used; the one before goes on",
                    metadata: ["version": "\(version.number)", "reason": "\(error)"])
                return nil
            }
        }
        newest = version
        _ = makeRoom(keeping: used)
        return version
    }

    /// What is passed over is said once.
    private mutating func lookForNewest() -> Version? {
        var unusable: [(UInt64, any Error)] = []
        let newest = registry.newest(except: broken) { unusable.append(($0, $1)) }
        for (number, reason) in unusable where passedOver.insert(number).inserted {
            logger.warning(
                "a folder of the model registry is passed over",
                metadata: ["version": "\(number)", "reason": "\(reason)"])
        }
        return newest
    }

    /// Takes down what nobody needs.
    ///
    /// - Returns: whether there is room for another.
    mutating func makeRoom(keeping used: some Collection<UInt64>) -> Bool {
        models = models.filter { $0.key == newest?.number || used.contains($0.key) }
        return models.count < Self.most
    }

    /// Puts a version on the shelf that samples of another worker were begun with.
    ///
    /// - Returns: false when two others are in use: later.
    /// - Throws: when the registry has no such version, or one that cannot be read; `TorchError` when there is no memory for it.
    mutating func hold(_ number: UInt64, keeping used: some Collection<UInt64>) throws -> Bool {
        if models[number] != nil { return true }
        guard !broken.contains(number), let version = registry.version(number) else {
            throw WorkerError(.badRegistry, "the registry has no usable version \(number)")
        }
        guard makeRoom(keeping: used) else { return false }
        models[number] = (version, try load(version))
        return true
    }

    private func load(_ version: Version) throws -> Denoiser<RecordedNetwork<UNet>> {
        defer { device.releaseMemory() }
        return try TorchError.catching {
            try will(.load(version: version.number))
            let loaded = try registry.load(version, run: run, dtype: dtype, device: device)
            loaded.network.prepareForInference(dtype: dtype, device: device)
            return try loaded.around(
                recording.isOff
                    ? RecordedNetwork(loaded.network, on: device, calls: nil)
                    : RecordedNetwork(loaded.network) { [logger, recording] error in
                        recording.isOff = true
                        logger.notice("passes are not recorded as graphs", metadata: ["reason": "\(error)"])
                    })
        }
    }

    /// Leaves as much of the device's memory to passes as there is, from now on.
    func saveMemory() {
        recording.isOff = true
        for model in models.values { model.denoiser.network.calls?.stop() }
        device.releaseMemory()
    }

    /// Whether versions' passes are recorded: what fails for one fails for the next.
    private final class Recording {
        var isOff = false
    }
}

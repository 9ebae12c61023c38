internal import Chain
internal import Diffusion
internal import Foundation
internal import Logging
internal import Wire

/// The backbone versions that a denoising worker has in memory: the newest, and those that samples under way were admitted with.
struct ModelShelf {
    typealias Version = ModelRegistry.Version

    private let registry: ModelRegistry
    private let run: RunDescriptor
    private let logger: Logger
    private var models: [UInt64: Denoiser<UNet>] = [:]
    private(set) var newest: Version?
    private var looked = Date.distantPast
    /// A version that could not be read is not tried again.
    private var broken: Set<UInt64> = []

    /// How often the registry is looked at, in seconds.
    private static let interval = 0.5

    init(_ registry: ModelRegistry, run: RunDescriptor, logger: Logger) {
        self.registry = registry
        self.run = run
        self.logger = logger
    }

    func denoiser(_ version: UInt64) -> Denoiser<UNet>? { models[version] }

    /// Takes the newest version from the registry if there is a newer one; of one that cannot be read, the next time, the one before.
    ///
    /// - Parameter used: versions that samples still run on.
    /// - Returns: the version, when it has changed.
    mutating func refresh(keeping used: Set<UInt64>) -> Version? {
        guard Date().timeIntervalSince(looked) >= Self.interval else { return nil }
        looked = Date()
        guard let version = registry.newest(except: broken), version.number > newest?.number ?? 0 else { return nil }
        do {
            models[version.number] = try registry.load(version, run: run)
        } catch {
            broken.insert(version.number)
            logger.error(
                "a backbone version cannot be used", metadata: ["version": "\(version.number)", "reason": "\(error)"])
            return nil
        }
        newest = version
        models = models.filter { $0.key == version.number || used.contains($0.key) }
        return version
    }
}

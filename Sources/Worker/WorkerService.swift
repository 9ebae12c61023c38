package import Logging
package import Monitoring
package import Observability
internal import ServiceLifecycle
internal import Torch
package import Trust
internal import Wire
package import Workbench

/// The worker that computes: its engine trains or denoises with libtorch.
package struct WorkerService: Service {
    private let service: EngineService

    /// Where no width is set, it tries for a second or two which is the best; the threads must have been set before.
    ///
    /// - Parameters:
    ///   - board: where its figures are written, for a monitoring server.
    ///   - progress: told every few seconds how far training has come; nil: it is logged.
    /// - Throws: what is wrong with keys, folders or settings, before anything is started.
    package init(
        _ settings: WorkerSettings, metrics: MetricsLog?, board: StatusBoard? = nil, logger: Logger,
        progress: TrainingProgress.Handler? = nil
    ) throws {
        let identity = try WorkerIdentity(settings, now: .now)
        let registry = try ModelRegistry(directory: settings.registry, run: identity.runID)
        let engine: any Engine, slots: UInt32
        switch settings.role {
        case .denoise:
            let device = settings.device, dtype = settings.dtype ?? device.fastest
            let width =
                try settings.slots
                ?? BatchProfile(registry: settings.registry, logger: logger).cap(
                    for: identity.run, backbone: registry.newest.flatMap(registry.configuration), device: device,
                    dtype: dtype, threads: settings.threads)
            engine = DenoiseLoop(
                desk: identity.desk, run: identity.run, registry: registry, slots: width, device: device, dtype: dtype,
                checkpoints: settings.checkpoints, logger: logger)
            // Twice as many jobs as fill the batch: the next ones wait here, not behind a round trip.
            slots = UInt32(clamping: 2 * width)
        case .train:
            guard let state = settings.state else {
                throw WorkerError(.badSettings, "a trainer needs a folder for what it is entrusted with: --state DIR")
            }
            engine = try TrainLoop(
                desk: identity.desk, run: identity.run, registry: registry, state: state,
                storageKey: identity.storageKey, settings: settings.training, metrics: metrics, logger: logger,
                progress: progress)
            slots = 64
        }
        service = EngineService(
            identity, engine: engine, slots: slots, model: registry.newest?.message,
            board: board.map { WorkerBoard($0) }, logger: logger)
    }

    package func run() async throws { try await service.run() }
}

extension WorkerIdentity {
    /// - Throws: `TrustError` and `WorkerError`, naming the file and what to do.
    package init(_ settings: WorkerSettings, now: UnixTime) throws {
        try self.init(
            kit: settings.kit, deployment: settings.deployment, brokers: settings.brokers, run: settings.run,
            roles: [settings.role == .train ? .train : .denoise], now: now)
    }
}

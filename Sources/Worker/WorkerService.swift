internal import Exchange
internal import Fabric
internal import Foundation
package import Logging
package import Observability
internal import ServiceLifecycle
internal import Sodium
internal import Torch
internal import Trust
internal import Wire
internal import ZeroMQ

/// The worker's process: a link to the broker on one thread, an engine on another, orders and answers between them.
package struct WorkerService: Service {
    private let identity: WorkerIdentity
    private let role: WorkerRole
    private let engine: any Engine
    private let offer: WorkerCore.Offer
    private let logger: Logger

    /// Where no width is set, it tries for a second or two which is the best; the threads must have been set before.
    ///
    /// - Parameter progress: told every few seconds how far training has come; nil: it is logged.
    /// - Throws: what is wrong with keys, folders or settings, before anything is started.
    package init(
        _ settings: WorkerSettings, metrics: MetricsLog?, logger: Logger, progress: TrainingProgress.Handler? = nil
    ) throws {
        identity = try WorkerIdentity(settings, now: .now)
        let registry = try ModelRegistry(directory: settings.registry, run: identity.runID)
        let slots: UInt32
        switch settings.role {
        case .denoise:
            role = .denoise
            let device = settings.device, dtype = settings.dtype ?? device.fastest
            let width =
                try settings.slots
                ?? BatchProfile(registry: settings.registry, logger: logger).cap(
                    for: identity.run, device: device, dtype: dtype, threads: settings.threads)
            engine = DenoiseLoop(
                desk: identity.desk, run: identity.run, registry: registry, slots: width, device: device, dtype: dtype,
                checkpoints: settings.checkpoints, logger: logger)
            // Twice as many jobs as fill the batch: the next ones wait here, not behind a round trip.
            slots = UInt32(clamping: 2 * width)
        case .train:
            role = .train
            guard let state = settings.state else {
                throw WorkerError(.badSettings, "a trainer needs a folder for what it is entrusted with: --state DIR")
            }
            engine = try TrainLoop(
                desk: identity.desk, run: identity.run, registry: registry, state: state,
                storageKey: identity.storageKey, settings: settings.training, metrics: metrics, logger: logger,
                progress: progress)
            slots = 64
        }
        offer = WorkerCore.Offer(
            roles: [role], slots: slots, run: identity.runID, poolKeys: identity.secrets.keyIDs,
            model: registry.newest?.message)
        self.logger = logger
    }

    package func run() async throws {
        let orders = engine.orders
        let link = try DealerLink(
            context: Context(), brokers: identity.brokers, identity: identity.curve,
            machine: WorkerCore(offer: offer, random: SecureRandom()), name: "link", logger: logger,
            deliver: { [logger] event in
                switch event {
                case .job(let assignment): orders.put(.job(assignment))
                case .cancel(let key, let fence, _): orders.put(.cancel(key, fence))
                case .resultStored(let key, _, stale: true):
                    logger.notice("a result came too late", metadata: ["job": "\(key)"])
                case .versionsNeeded(let versions): orders.put(.keep(versions))
                case .lost(let loss):
                    logger.notice("no session with the broker; trying again", metadata: ["reason": "\(loss.reason)"])
                case .resultStored, .welcomed: break
                case .brokerDraining: logger.notice("the broker is going down")
                }
            })
        logger.info("worker started", metadata: ["worker": "\(identity.name)", "role": "\(role.rawValue)"])
        let engineEnd = EngineThread.start(engine) { link.send($0) }
        try await withGracefulShutdownHandler {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await link.run() }
                group.addTask { try await engineEnd.value }
                // Whichever ends first ends the other.
                defer {
                    link.close()
                    orders.put(.stop)
                }
                try await group.next()
                // What the engine said last is heard before the link goes.
                link.send(.close)
                orders.put(.stop)
                try await group.waitForAll()
            }
        } onGracefulShutdown: {
            link.send(.drain)
            orders.put(.stop)
        }
        logger.info("worker stopped", metadata: ["worker": "\(identity.name)"])
    }
}

/// Runs an engine on a thread of its own: a forward pass on the cooperative pool would starve every `await`.
private enum EngineThread {
    static func start(
        _ engine: any Engine, send: @escaping @Sendable (WorkerCore.Command) -> Void
    ) -> Task<Void, any Error> {
        Task {
            try await withCheckedThrowingContinuation { (end: CheckedContinuation<Void, any Error>) in
                let thread = Thread { end.resume(with: Result { try engine.run(send: send) }) }
                thread.name = "engine"
                thread.stackSize = 16 << 20
                thread.start()
            }
        }
    }
}

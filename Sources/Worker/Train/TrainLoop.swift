package import Chain
internal import Diffusion
package import Exchange
package import Foundation
package import Logging
package import Observability
internal import Sealing
package import Sodium
internal import Torch
internal import Wire
package import Workbench

/// The trainer's engine: takes publications in, and trains the backbone on them without pause.
///
/// Between two steps it looks for what has come in. Publications are answered once they are durably stored, and only then
/// trained on.
package struct TrainLoop: Engine {
    package let orders = WorkQueue<EngineOrder>()
    private let desk: JobDesk
    private let run: RunDescriptor
    private let registry: ModelRegistry
    private let state: URL
    private let store: PublicationStore
    private let settings: TrainingSettings
    private let metrics: MetricsLog?
    private let logger: Logger
    private let progress: TrainingProgress.Handler?

    /// Seconds between two reports of losses.
    private static let reportInterval = 2.0

    package init(
        desk: JobDesk, run: RunDescriptor, registry: ModelRegistry, state: URL, storageKey: SecretBytes,
        settings: TrainingSettings, metrics: MetricsLog?, logger: Logger, progress: TrainingProgress.Handler? = nil
    ) throws {
        self.desk = desk
        self.run = run
        self.registry = registry
        self.state = state
        store = try PublicationStore(directory: state.appending(path: "publications"), key: storageKey)
        self.settings = settings
        self.metrics = metrics
        self.logger = logger
        self.progress = progress
    }

    package func run(send: @escaping @Sendable (WorkerCore.Command) -> Void) throws {
        Runtime.flushDenormals()
        var training = try BackboneTraining(run: run, registry: registry, state: state, settings: settings)
        var shelf = try PublicationShelf(run: run, store: store, used: training.used, logger: logger)
        if let version = registry.newest { send(.model(version.message)) }
        var reported = Date()
        var needed: Set<UInt64> = []
        while true {
            let isWaiting = shelf.isEmpty || training.isDone
            let taken = isWaiting ? orders.waitAndTakeAll(atMost: 1) : orders.takeAll()
            for order in taken {
                switch order {
                case .job(let assignment): send(take(assignment, into: &shelf))
                case .cancel: break  // Storing is done in one go; there is nothing to stop.
                case .keep(let versions): needed = versions
                case .stop: return try training.save(shelf)
                }
            }
            guard !shelf.isEmpty, !training.isDone else {
                // Fresh publications are used up, and a while brought no others: nobody knows when there will be.
                let hasJobs = taken.contains { if case .job = $0 { true } else { false } }
                if !hasJobs, training.hasNews {
                    try publish(&training, shelf, needed, send)
                    report(training.takeReport(), training.images)
                }
                continue
            }
            training.step(&shelf)
            send(.iterations(UInt64(training.steps)))
            if training.wantsVersion { try publish(&training, shelf, needed, send) }
            if Date().timeIntervalSince(reported) >= Self.reportInterval || training.isDone {
                reported = Date()
                report(training.takeReport(), training.images)
            }
        }
    }

    private func publish(
        _ training: inout BackboneTraining, _ shelf: PublicationShelf, _ needed: Set<UInt64>,
        _ send: (WorkerCore.Command) -> Void
    ) throws {
        let version = try training.publish(shelf, keeping: needed)
        send(.model(version.message))
        logger.info(
            "backbone version written", metadata: ["version": "\(version.number)", "images": "\(version.imagesSeen)"])
    }

    private func take(_ assignment: WorkerCore.Assignment, into shelf: inout PublicationShelf) -> WorkerCore.Command {
        switch desk.open(assignment) {
        case .refused(let command): return command
        case .opened(let opened):
            let began = ContinuousClock.now
            let payload: WirePayload
            do {
                payload = try shelf.take(opened.payload, from: assignment.key)
            } catch let error as RequestError {
                payload = error.payload
            } catch {
                logger.error("a publication cannot be stored", metadata: ["reason": "\(error)"])
                return desk.handBack(assignment.key, assignment.fence, .storage, "\(error)", retryAfter: 5)
            }
            let cost = UInt64((ContinuousClock.now - began) / .microseconds(1))
            return desk.answer(payload, to: opened, fence: assignment.fence, cost: cost)
        }
    }

    private func report(_ losses: LossReport, _ images: Int) {
        let buckets = losses.buckets.filter { $0.rows > 0 }
        metrics?.write(
            "backbone",
            [
                "images": .integer(images),
                "buckets": .array(
                    buckets.map { bucket in
                        [
                            "from": .integer(bucket.first), "to": .integer(bucket.last), "rows": .integer(bucket.rows),
                            "loss": .number(bucket.loss ?? .nan),
                            "floor": .number(bucket.floor ?? .nan), "excess": .number(bucket.excess ?? .nan),
                        ]
                    }),
                "excess": .number(losses.excess ?? .nan),
            ])
        if let progress {
            progress(TrainingProgress(images: images, target: settings.images, excess: losses.excess))
        } else {
            logger.info(
                "training",
                metadata: [
                    "images": "\(images)", "loss above floor": "\(String(format: "%.4f", losses.excess ?? .nan))",
                ])
        }
    }
}

/// How far the backbone's training has come.
package struct TrainingProgress: Sendable {
    package let images: Int
    /// nil: it goes on until it is stopped.
    package let target: Int?
    /// Loss above its floor since the last report; nil: nothing was trained since.
    package let excess: Double?

    /// Called on the engine's thread.
    package typealias Handler = @Sendable (TrainingProgress) -> Void
}

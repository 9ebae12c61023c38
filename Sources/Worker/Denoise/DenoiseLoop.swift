package import Chain
internal import Diffusion
package import Exchange
internal import Foundation
package import Logging
internal import Sealing
package import Torch
internal import Wire
package import Workbench

/// The denoising worker's engine.
///
/// One iteration is one forward pass. Slots may stand at different timesteps, of different clients, cuts, step counts, samplers
/// and guidance; between two passes samples come in, those that reached their cut leave, and cancelled ones are dropped.
package struct DenoiseLoop: Engine {
    package let orders = WorkQueue<EngineOrder>()
    private let desk: JobDesk
    private let run: RunDescriptor
    private let registry: ModelRegistry
    private let slots: Int
    private let device: Device
    private let dtype: DType
    private let checkpoints: CheckpointSettings
    private let logger: Logger
    private let will: @Sendable (DenoiseWork) throws -> Void

    /// - Parameters:
    ///   - slots: the widest forward pass, in network inputs.
    ///   - will: called before libtorch is: tests let it fail here.
    package init(
        desk: JobDesk, run: RunDescriptor, registry: ModelRegistry, slots: Int,
        device: Device = .cpu, dtype: DType = .float32, checkpoints: CheckpointSettings = CheckpointSettings(),
        logger: Logger,
        will: @escaping @Sendable (DenoiseWork) throws -> Void = { _ in }
    ) {
        self.desk = desk
        self.run = run
        self.registry = registry
        self.slots = slots
        self.device = device
        self.dtype = dtype
        self.checkpoints = checkpoints
        self.logger = logger
        self.will = will
    }

    package func run(send: @escaping @Sendable (WorkerCore.Command) -> Void) throws {
        Runtime.flushDenormals()
        var batch = RunningBatch(
            desk: desk, run: run,
            shelf: ModelShelf(registry, run: run, device: device, dtype: dtype, logger: logger, will: will),
            slots: slots, checkpoints: checkpoints, logger: logger, will: will, send: send)
        var isStopping = false
        while !isStopping {
            // First, so that a job that waits at the start finds the backbone that is there.
            batch.refreshModel()
            for order in batch.isIdle ? orders.waitAndTakeAll(atMost: 0.5) : orders.takeAll() {
                switch order {
                case .job(let assignment) where isStopping:
                    send(desk.handBack(assignment.key, assignment.fence, .draining, RunningBatch.farewell))
                case .job(let assignment): batch.admit(assignment)
                case .cancel(let key, let fence): batch.cancel(key, fence)
                case .keep: break  // Told to trainers, who write the registry.
                case .stop: isStopping = true
                }
            }
            if !isStopping { batch.iterate() }
            // A process that is started anew may find it well; this one would hand back whatever it was given.
            if batch.lost != nil { isStopping = true }
        }
        batch.handBackAll()
        if let lost = batch.lost {
            throw WorkerError(.deviceLost, "\(device) has failed, and with it this process: \(lost)")
        }
    }
}

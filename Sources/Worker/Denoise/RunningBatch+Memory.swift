internal import Diffusion
internal import Exchange
internal import Logging
internal import Sealing
internal import Torch
internal import Wire
internal import Workbench

extension RunningBatch {
    /// How long passes stay narrow for which there was no memory when they were wide.
    struct Narrowing {
        /// Since they became so.
        fileprivate var passes = 0
        /// As many until they may be wider: twice as many each time that it was too early.
        fileprivate var patience = 64
        fileprivate var hasWidened = false

        fileprivate static let longest = 4096
    }

    /// A job that finds no memory where it runs alone is handed on so often before its client hears of it: there may be workers with
    /// more.
    static let attemptsForMemory = 3

    /// A pass that failed. For want of memory it is run again, half as wide; where that is no way out, and for other reasons, its jobs go
    /// back to the broker.
    mutating func retry(_ iteration: StepScheduler.Iteration, _ error: any Error) {
        scheduler.giveUp()
        if error.isForMemory { shelf.saveMemory() } else { lookAfterDevice() }
        if error.isForMemory, iteration.slots.count > 1 {
            scheduler.narrow(to: iteration.width / 2)
            narrowing.passes = 0
            if narrowing.hasWidened { narrowing.patience = min(2 * narrowing.patience, Narrowing.longest) }
            narrowing.hasWidened = false
            return logger.warning(
                "a pass found no memory; passes are narrower for a while", metadata: ["width": "\(scheduler.capacity)"])
        }
        for ticket in Set(iteration.slots.map(\.sample.ticket)).sorted(by: { $0.number < $1.number }) {
            guard let job = jobs[ticket] else { continue }
            writeDown(ticket)
            giveUp(job.opened, job.assignment, cost: job.charge, error)
            drop(ticket)
        }
    }

    private mutating func lookAfterDevice() {
        do throws(TorchError) { try shelf.device.finish() } catch { lost = error }
    }

    /// After a pass that went well: what memory was short for may be gone.
    mutating func widen() {
        guard scheduler.isNarrowed else { return }
        narrowing.passes += 1
        guard narrowing.passes >= narrowing.patience else { return }
        narrowing.passes = 0
        narrowing.hasWidened = true
        scheduler.widen()
    }

    /// A job that cannot be done here goes to another worker; one that no worker has memory for is answered.
    func giveUp(_ opened: OpenedJob, _ assignment: WorkerCore.Assignment, cost: UInt64, _ error: any Error) {
        logger.warning("a job failed", metadata: ["job": "\(assignment.key)", "reason": "\(error)"])
        let attempts = assignment.memoryFailures + 1
        guard error.isForMemory, assignment.alone, attempts >= Self.attemptsForMemory else {
            return send(
                desk.handBack(
                    assignment.key, assignment.fence, error.isForMemory ? .outOfMemory : .internal, "\(error)",
                    retryAfter: error.isForMemory ? 1 : 5))
        }
        let answer = RequestError(
            .noMemory,
            "one sample of the job alone finds no memory on a worker, \(attempts) times out of \(attempts): ask the operator for workers "
                + "with more, or for a smaller backbone")
        send(desk.answer(answer.payload, to: opened, fence: assignment.fence, cost: cost))
    }
}

extension Error {
    /// Whether libtorch found no memory: the process is otherwise sound.
    var isForMemory: Bool {
        (self as? TorchError)?.code == .outOfMemory || (self as? DiffusionError)?.code == .noMemory
    }
}

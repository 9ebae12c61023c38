internal import Chain
internal import Diffusion
internal import Exchange
internal import Foundation
internal import Safetensors
internal import Sealing
internal import Torch
internal import Trust
internal import Wire

/// The jobs that a denoising worker has under way, and the samples they are made of.
///
/// Which samples share a pass is the step scheduler's to say; here are their tensors.
struct RunningBatch {
    private struct Job {
        let opened: OpenedJob
        let fence: Fence
        let version: ModelShelf.Version
        let labels: [Int]
        /// x at the cut, for the samples that are there.
        var finished: [Int: Tensor] = [:]
        /// Microseconds of this worker's time.
        var cost = 0.0
        var reported = Date.distantPast
    }

    private let desk: JobDesk
    private let run: RunDescriptor
    private let shape: [Int]
    private let send: @Sendable (WorkerCore.Command) -> Void
    private var shelf: ModelShelf
    private var scheduler: StepScheduler
    private var jobs: [StepScheduler.Ticket: Job] = [:]
    private var tickets: [JobKey: StepScheduler.Ticket] = [:]
    private var samples: [StepScheduler.SampleID: SampleState] = [:]
    private var passes: UInt64 = 0

    /// Jobs are said to go on at least this often, in seconds.
    private static let reportInterval = 0.5

    init(
        desk: JobDesk, run: RunDescriptor, shelf: ModelShelf, slots: Int,
        send: @escaping @Sendable (WorkerCore.Command) -> Void
    ) {
        self.desk = desk
        self.run = run
        self.shelf = shelf
        self.send = send
        shape = [run.image.channels, run.image.height, run.image.width]
        scheduler = StepScheduler(capacity: max(2, slots))
    }

    var isIdle: Bool { scheduler.isIdle }

    mutating func refreshModel() {
        if let version = shelf.refresh(keeping: Set(jobs.values.map(\.version.number))) {
            send(.model(version.message))
        }
    }

    // MARK: coming and going

    mutating func admit(_ assignment: WorkerCore.Assignment) {
        // Another attempt of the same job: the one before is over.
        if let ticket = tickets[assignment.key] { drop(ticket) }
        switch desk.open(assignment) {
        case .refused(let command): send(command)
        case .opened(let opened):
            do { try start(opened, assignment) } catch {
                send(desk.answer(error.payload, to: opened, fence: assignment.fence, cost: 0))
            }
        }
    }

    private mutating func start(_ opened: OpenedJob, _ assignment: WorkerCore.Assignment) throws(RequestError) {
        let order = try DenoiseOrder(opened.payload, run: run)
        guard let version = shelf.newest, let denoiser = shelf.denoiser(version.number) else {
            return send(desk.handBack(assignment.key, assignment.fence, .busy, "there is no backbone yet"))
        }
        try order.check(version)
        // Else a label without a row would fail the pass, and with it everybody's jobs.
        do throws(DiffusionError) {
            try denoiser.check(labels: order.labels)
            try denoiser.check(guidance: order.guidance)
        } catch {
            throw RequestError(.badRequest, error.message)
        }
        let start = try order.chainState(run)
        let plans = order.plans(lowestCut: version.lowestCut)
        let ticket: StepScheduler.Ticket
        do {
            ticket = try scheduler.add(
                plans.map { .init(passes: $0.passes, guided: order.isGuided) },
                group: .init(model: version.number, shape: shape), priority: Int32(clamping: opened.client.priority),
                alone: assignment.alone)
        } catch {
            throw RequestError(.badRequest, error.message)
        }
        jobs[ticket] = Job(opened: opened, fence: assignment.fence, version: version, labels: order.labels)
        tickets[assignment.key] = ticket
        for (index, plan) in plans.enumerated() {
            samples[.init(ticket: ticket, index: index)] = SampleState(
                plan, model: version.number, from: start, row: index)
        }
    }

    mutating func cancel(_ key: JobKey, _ fence: Fence) {
        guard let ticket = tickets[key], jobs[ticket]?.fence == fence else { return }
        drop(ticket)
    }

    private mutating func drop(_ ticket: StepScheduler.Ticket) {
        scheduler.cancel(ticket)
        forget(ticket)
    }

    private mutating func forget(_ ticket: StepScheduler.Ticket) {
        guard let job = jobs.removeValue(forKey: ticket) else { return }
        tickets[job.opened.envelope.key] = nil
        for index in job.labels.indices { samples[.init(ticket: ticket, index: index)] = nil }
    }

    // MARK: one pass

    mutating func iterate() {
        guard let iteration = scheduler.next() else { return }
        let began = ContinuousClock.now
        do { try step(iteration) } catch { return handBack(iteration, error) }
        charge(iteration, (ContinuousClock.now - began) / .microseconds(1))
        let advance = scheduler.advance()
        for id in advance.retired {
            jobs[id.ticket]?.finished[id.index] = samples.removeValue(forKey: id)?.x
        }
        for ticket in advance.completed { finish(ticket) }
        report(iteration)
    }

    private mutating func step(_ iteration: StepScheduler.Iteration) throws {
        // A group's samples were all admitted with its version, which the shelf keeps while they run.
        guard let denoiser = shelf.denoiser(iteration.group.model) else {
            preconditionFailure("a version was dropped while samples of it ran")
        }
        let slots = iteration.slots
        var running = slots.compactMap { samples[$0.sample] }
        try TorchError.catching { withoutGradients { _ = denoiser.advance(&running) } }
        for (slot, state) in zip(slots, running) { samples[slot.sample] = state }
    }

    private mutating func charge(_ iteration: StepScheduler.Iteration, _ microseconds: Double) {
        passes += 1
        send(.iterations(passes))
        let width = iteration.slots.reduce(0) { $0 + ($1.guided ? 2 : 1) }
        for slot in iteration.slots {
            jobs[slot.sample.ticket]?.cost += microseconds * Double(slot.guided ? 2 : 1) / Double(width)
        }
    }

    private mutating func report(_ iteration: StepScheduler.Iteration) {
        let now = Date()
        for ticket in Set(iteration.slots.map(\.sample.ticket)) {
            guard let job = jobs[ticket], let progress = scheduler.progress(of: ticket),
                now.timeIntervalSince(job.reported) >= Self.reportInterval
            else { continue }
            jobs[ticket]?.reported = now
            send(
                .progress(
                    job.opened.envelope.key, job.fence, done: UInt64(progress.done), total: UInt64(progress.total)))
        }
    }

    private mutating func finish(_ ticket: StepScheduler.Ticket) {
        guard let job = jobs[ticket] else { return }
        let x = Tensor.concatenated(job.labels.indices.compactMap { job.finished[$0] }, 0)
        send(desk.answer(result(job, x), to: job.opened, fence: job.fence, cost: UInt64(job.cost)))
        forget(ticket)
    }

    private func result(_ job: Job, _ x: Tensor) -> WirePayload {
        guard x.isFinite else {
            return RequestError(
                .badRequest, "the samples are no numbers: use more steps, less guidance, or clip x̂_0"
            ).payload
        }
        var payload = WirePayload()
        payload.denoiseResult.modelVersion = job.version.number
        payload.denoiseResult.imagesSeen = job.version.imagesSeen
        do {
            var archive = SafetensorsArchive()
            try archive.append(x.entry(named: "x"))
            payload.tensors = archive.encoded()
        } catch {
            preconditionFailure("a finished sample is a float tensor: \(error)")
        }
        return payload
    }

    /// A pass that failed failed for all its samples: their jobs go back to the broker, which gives them to a worker with more room.
    private mutating func handBack(_ iteration: StepScheduler.Iteration, _ error: any Error) {
        _ = scheduler.advance()
        let code: WireCode = (error as? TorchError)?.code == .outOfMemory ? .outOfMemory : .internal
        for ticket in Set(iteration.slots.map(\.sample.ticket)) {
            guard let job = jobs[ticket] else { continue }
            send(desk.handBack(job.opened.envelope.key, job.fence, code, "\(error)", retryAfter: 5))
            drop(ticket)
        }
    }
}

internal import Chain
internal import Diffusion
internal import Exchange
internal import Foundation
internal import Logging
internal import Safetensors
internal import Sealing
internal import Torch
internal import Trust
internal import Wire
internal import Workbench

/// The jobs that a denoising worker has under way, and the samples they are made of.
///
/// Which samples share a pass is the step scheduler's to say; here are their tensors. `+Checkpoints` writes jobs down and goes on
/// with what others wrote, `+Answers` is what clients hear.
struct RunningBatch {
    struct Job {
        let opened: OpenedJob
        let fence: Fence
        let version: ModelShelf.Version
        let samples: Int
        let order: DenoiseOrder
        /// Microseconds of worker time, of earlier attempts too.
        var cost: Double
        /// The same as a whole number, whatever an earlier attempt's worker wrote down.
        var charge: UInt64 { cost < 0x1p63 ? UInt64(max(cost, 0)) : 1 << 63 }
        var reported = -Double.infinity
        var mark: CheckpointPace.Mark
        /// When the previews that were sent have paid for their bytes.
        var previewsPaid = -Double.infinity
    }

    let desk: JobDesk
    let run: RunDescriptor
    let shape: [Int]
    let logger: Logger
    let send: @Sendable (WorkerCore.Command) -> Void
    /// Called before a pass with its width: tests let passes fail here.
    private let willRun: @Sendable (Int) throws -> Void
    var shelf: ModelShelf
    var scheduler: StepScheduler
    var jobs: [StepScheduler.Ticket: Job] = [:]
    private var tickets: [JobKey: StepScheduler.Ticket] = [:]
    var samples: [StepScheduler.SampleID: SampleState] = [:]
    /// Jobs under way, by the version they began with.
    private(set) var versions: [UInt64: Int] = [:]
    /// Jobs whose version finds no room in memory before others are through.
    private var parked: [WorkerCore.Assignment] = []
    var pace: CheckpointPace
    private var passes: UInt64 = 0
    /// The shortest pass so far, in milliseconds.
    private var quickest = Double.infinity
    private var lookedForHopeless = -Double.infinity
    private var hasMissedBackbone = false

    /// Jobs are said to go on, and deadlines are looked at, at least this often, in seconds.
    static let reportInterval = 0.5

    init(
        desk: JobDesk, run: RunDescriptor, shelf: ModelShelf, slots: Int, checkpoints: CheckpointSettings,
        logger: Logger,
        willRun: @escaping @Sendable (Int) throws -> Void = { _ in },
        send: @escaping @Sendable (WorkerCore.Command) -> Void
    ) {
        self.desk = desk
        self.run = run
        self.shelf = shelf
        self.logger = logger
        self.willRun = willRun
        self.send = send
        shape = [run.image.channels, run.image.height, run.image.width]
        scheduler = StepScheduler(capacity: max(2, slots))
        pace = CheckpointPace(checkpoints)
    }

    var isIdle: Bool { scheduler.isIdle }

    /// Seconds on a clock that never goes back.
    static var now: Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }

    /// Looks for a newer version, and for room for those that wait for theirs.
    mutating func refreshModel() {
        if !parked.isEmpty, shelf.makeRoom(keeping: versions.keys) {
            let waiting = parked
            parked = []
            for assignment in waiting { admit(assignment) }
        }
        if parked.isEmpty, let version = shelf.refresh(keeping: versions.keys) { send(.model(version.message)) }
    }

    // MARK: coming and going

    mutating func admit(_ assignment: WorkerCore.Assignment) {
        // Another attempt of the same job: the one before is over.
        forget(assignment.key)
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
        try order.checkDeadline(at: .now)
        switch resumption(of: opened, order, assignment) {
        case .goesOn(let states, let version, let cost):
            logger.info(
                "a job goes on where another worker left it",
                metadata: [
                    "job": "\(assignment.key)", "passes": "\(states.reduce(0) { $0 + $1.passesDone })",
                    "of": "\(states.reduce(0) { $0 + $1.plan.passes })", "version": "\(version.number)",
                ])
            return try enter(opened, assignment, order, states, version, cost: cost)
        case .waits: return parked.append(assignment)
        case .beginsAnew: break
        }
        guard let version = shelf.newest, let denoiser = shelf.denoiser(version.number) else {
            if !hasMissedBackbone {
                hasMissedBackbone = true
                logger.notice("there is no backbone that can be used yet; jobs are handed back until there is one")
            }
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
        let states = order.plans(lowestCut: version.lowestCut).enumerated().map { row, plan in
            SampleState(plan, model: version.number, from: start, row: row)
        }
        try enter(opened, assignment, order, states, version, cost: 0)
    }

    private mutating func enter(
        _ opened: OpenedJob, _ assignment: WorkerCore.Assignment, _ order: DenoiseOrder, _ states: [SampleState],
        _ version: ModelShelf.Version, cost: Double
    ) throws(RequestError) {
        let ticket: StepScheduler.Ticket
        do {
            ticket = try scheduler.add(
                states.map { .init(passes: $0.plan.passes, guided: order.isGuided, passesDone: $0.passesDone) },
                group: .init(model: version.number, shape: shape), priority: Int32(clamping: opened.client.priority),
                deadline: order.deadline, alone: assignment.alone)
        } catch {
            throw RequestError(.badRequest, error.message)
        }
        jobs[ticket] = Job(
            opened: opened, fence: assignment.fence, version: version, samples: states.count, order: order, cost: cost,
            mark: .init(at: Self.now))
        tickets[assignment.key] = ticket
        for (index, state) in states.enumerated() { samples[.init(ticket: ticket, index: index)] = state }
        versions[version.number, default: 0] += 1
        if versions[version.number] == 1 { send(.versionsInUse(Set(versions.keys))) }
    }

    mutating func cancel(_ key: JobKey, _ fence: Fence) {
        parked.removeAll { $0.key == key && $0.fence == fence }
        guard let ticket = tickets[key], jobs[ticket]?.fence == fence else { return }
        drop(ticket)
    }

    /// Whatever is under way of the job.
    private mutating func forget(_ key: JobKey) {
        parked.removeAll { $0.key == key }
        if let ticket = tickets[key] { drop(ticket) }
    }

    mutating func drop(_ ticket: StepScheduler.Ticket) {
        scheduler.cancel(ticket)
        forget(ticket)
    }

    /// Of a job that the scheduler has no more.
    mutating func forget(_ ticket: StepScheduler.Ticket) {
        guard let job = jobs.removeValue(forKey: ticket) else { return }
        tickets[job.opened.envelope.key] = nil
        for index in 0..<job.samples { samples[.init(ticket: ticket, index: index)] = nil }
        let left = (versions[job.version.number] ?? 0) - 1
        versions[job.version.number] = left > 0 ? left : nil
        if left <= 0 { send(.versionsInUse(Set(versions.keys))) }
    }

    /// Gives everything back, with as much of it as is done: another worker goes on. Nothing is left.
    mutating func handBackAll() {
        for assignment in parked {
            send(desk.handBack(assignment.key, assignment.fence, .draining, Self.farewell, retryAfter: 0))
        }
        parked = []
        for (ticket, job) in jobs.sorted(by: { $0.key.number < $1.key.number }) {
            writeDown(ticket)
            send(desk.handBack(job.opened.envelope.key, job.fence, .draining, Self.farewell, retryAfter: 0))
            drop(ticket)
        }
    }

    static let farewell = "this worker was asked to end"

    // MARK: one pass

    mutating func iterate() {
        endHopeless()
        guard let iteration = scheduler.next() else { return }
        let began = ContinuousClock.now
        do { try step(iteration) } catch { return retry(iteration, error) }
        charge(iteration, (ContinuousClock.now - began) / .microseconds(1))
        for ticket in scheduler.advance().completed { finish(ticket) }
        stopOverCeiling(iteration)
        passed(iteration)
    }

    private mutating func step(_ iteration: StepScheduler.Iteration) throws {
        // A group's samples were all admitted with its version, which the shelf keeps while they run.
        guard let denoiser = shelf.denoiser(iteration.group.model) else {
            preconditionFailure("a version was dropped while samples of it ran")
        }
        let slots = iteration.slots
        try willRun(slots.reduce(0) { $0 + $1.width })
        var running = slots.compactMap { samples[$0.sample] }
        let images = try TorchError.catching { withoutGradients { denoiser.advance(&running) } }
        for (slot, state) in zip(slots, running) { samples[slot.sample] = state }
        showPreviews(slots, images)
    }

    private mutating func charge(_ iteration: StepScheduler.Iteration, _ microseconds: Double) {
        passes += 1
        quickest = min(quickest, microseconds / 1_000)
        send(.iterations(passes))
        let width = iteration.slots.reduce(0) { $0 + $1.width }
        for slot in iteration.slots {
            jobs[slot.sample.ticket]?.cost += microseconds * Double(slot.width) / Double(width)
        }
    }

    /// Ends the jobs that have cost more than their envelopes admit; what a job has cost is charged all the same. A ceiling of 0 admits
    /// whatever it takes.
    private mutating func stopOverCeiling(_ iteration: StepScheduler.Iteration) {
        for ticket in Set(iteration.slots.map(\.sample.ticket)) {
            guard let job = jobs[ticket] else { continue }
            let ceiling = job.opened.envelope.costCeiling
            guard ceiling > 0, job.cost > Double(ceiling) else { continue }
            let error = RequestError(
                .overCeiling,
                "the job took more than the \(ceiling) µs of worker time that its envelope admits: ask for fewer samples or steps, or "
                    + "admit more")
            send(desk.answer(error.payload, to: job.opened, fence: job.fence, cost: job.charge))
            drop(ticket)
        }
    }

    /// Tells of the jobs that took part, and writes down those whose time it is.
    private mutating func passed(_ iteration: StepScheduler.Iteration) {
        let now = Self.now
        for ticket in Set(iteration.slots.map(\.sample.ticket)) {
            guard var mark = jobs[ticket]?.mark else { continue }
            let isDue = pace.passed(&mark, at: now)
            jobs[ticket]?.mark = mark
            if isDue { writeDown(ticket) }
            guard let job = jobs[ticket], let progress = scheduler.progress(of: ticket),
                now - job.reported >= Self.reportInterval
            else { continue }
            jobs[ticket]?.reported = now
            send(
                .progress(
                    job.opened.envelope.key, job.fence, done: UInt64(progress.done), total: UInt64(progress.total)))
        }
    }

    /// Jobs that cannot be there in time any more leave room for others.
    private mutating func endHopeless() {
        let now = Self.now
        guard now - lookedForHopeless >= Self.reportInterval else { return }
        lookedForHopeless = now
        for ticket in scheduler.hopeless(at: UnixTime.now, pass: Int64(quickest.isFinite ? quickest : 0)) {
            guard let job = jobs[ticket], let progress = scheduler.progress(of: ticket) else { continue }
            let error = RequestError(
                .tooLate,
                "\(progress.done) of \(progress.total) steps are done, and the rest cannot be by the request's deadline: allow more time, or ask for fewer steps"
            )
            send(desk.answer(error.payload, to: job.opened, fence: job.fence, cost: job.charge))
            drop(ticket)
        }
    }

    /// A pass that failed. For want of memory it is run again, half as wide; else its jobs go back to the broker, which gives them to a
    /// worker with more room.
    private mutating func retry(_ iteration: StepScheduler.Iteration, _ error: any Error) {
        scheduler.giveUp()
        let isForMemory = (error as? TorchError)?.code == .outOfMemory
        let width = iteration.slots.reduce(0) { $0 + $1.width }
        if isForMemory, width > 2 {
            scheduler.narrow(to: width / 2)
            return logger.warning(
                "a pass found no memory; passes are narrower from now on", metadata: ["width": "\(scheduler.capacity)"])
        }
        for ticket in Set(iteration.slots.map(\.sample.ticket)).sorted(by: { $0.number < $1.number }) {
            guard let job = jobs[ticket] else { continue }
            writeDown(ticket)
            send(
                desk.handBack(
                    job.opened.envelope.key, job.fence, isForMemory ? .outOfMemory : .internal, "\(error)",
                    retryAfter: 5))
            drop(ticket)
        }
    }
}

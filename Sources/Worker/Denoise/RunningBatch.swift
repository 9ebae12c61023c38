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

/// What libtorch does for jobs, and may have no memory for.
package enum DenoiseWork: Hashable, Sendable {
    case load(version: UInt64)
    /// Brings a job's texts to the device, once.
    case text
    /// Takes a job up from its checkpoint.
    case resume
    /// - Parameter width: in network inputs.
    case pass(width: Int)
    case preview, checkpoint, result
}

/// The jobs that a denoising worker has under way, and the samples they are made of.
///
/// Which samples share a pass is the step scheduler's to say; here are their tensors. `+Checkpoints` writes jobs down and goes on
/// with what others wrote, `+Answers` is what clients hear, `+Memory` is what becomes of jobs that find none.
struct RunningBatch {
    struct Job {
        let opened: OpenedJob
        let assignment: WorkerCore.Assignment
        let version: ModelShelf.Version
        let order: DenoiseOrder
        /// One for each sample.
        let plans: [SamplePlan]
        /// What they are to show; nil: the backbone looks at no text.
        let text: JobText?
        /// Microseconds of worker time, of earlier attempts too.
        var cost: Double
        /// The same as a whole number, whatever an earlier attempt's worker wrote down.
        var charge: UInt64 { Self.charge(cost) }
        static func charge(_ cost: Double) -> UInt64 { cost < 0x1p63 ? UInt64(max(cost, 0)) : 1 << 63 }
        var reported = -Double.infinity
        var mark: CheckpointPace.Mark
        /// When previews of it were sent last.
        var shown = -Double.infinity
        /// Whether it was said that it is too large to be written down whole.
        var hasSaidItsSize = false

        var key: JobKey { assignment.key }
        var fence: Fence { assignment.fence }
    }

    private struct Parked {
        let opened: OpenedJob
        let assignment: WorkerCore.Assignment
        let order: DenoiseOrder
    }

    let desk: JobDesk
    let run: RunDescriptor
    let shape: [Int]
    let logger: Logger
    let send: @Sendable (WorkerCore.Command) -> Void
    /// Called before libtorch is: tests let it fail here.
    private let will: @Sendable (DenoiseWork) throws -> Void
    var shelf: ModelShelf
    var scheduler: StepScheduler
    var jobs: [StepScheduler.Ticket: Job] = [:]
    private var tickets: [JobKey: StepScheduler.Ticket] = [:]
    /// Those that have begun.
    var samples: [StepScheduler.SampleID: SampleState] = [:]
    /// Jobs under way, by the version they began with.
    private(set) var versions: [UInt64: Int] = [:]
    /// Jobs whose version finds no room in memory before others are through.
    private var parked: [Parked] = []
    var pace: CheckpointPace
    var previews = PreviewPace()
    var narrowing = Narrowing()
    /// What ended the device, if anything did: nothing that this process asks of it succeeds any more.
    var lost: TorchError?
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
        will: @escaping @Sendable (DenoiseWork) throws -> Void,
        send: @escaping @Sendable (WorkerCore.Command) -> Void
    ) {
        self.desk = desk
        self.run = run
        self.shelf = shelf
        self.logger = logger
        self.will = will
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
            for job in waiting { admit(job.assignment) }
        }
        if parked.isEmpty, let version = shelf.refresh(keeping: versions.keys) { send(.model(version.message)) }
    }

    /// Everything that is done with tensors for jobs is done in here: outside, what libtorch refuses would end the worker.
    ///
    /// - Throws: `TorchError`, and what `body` throws.
    func attempt<Result>(_ work: DenoiseWork, _ body: () throws -> Result) throws -> Result {
        try TorchError.catching {
            try will(work)
            return try body()
        }
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
        case .goesOn(let begun, let version, let cost):
            logger.info(
                "a job goes on where another worker left it",
                metadata: [
                    "job": "\(assignment.key)", "passes": "\(begun.values.reduce(0) { $0 + $1.passesDone })",
                    "version": "\(version.number)",
                ])
            return try enter(opened, assignment, order, begun, version, cost: cost)
        case .waits: return parked.append(Parked(opened: opened, assignment: assignment, order: order))
        case .fails(let error): return giveUp(opened, assignment, cost: 0, error)
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
        try order.check(textWidth: denoiser.network.textWidth)
        try enter(opened, assignment, order, [:], version, cost: 0)
    }

    /// - Parameter begun: those of its samples that have begun elsewhere, by their places. The others begin with their first pass.
    private mutating func enter(
        _ opened: OpenedJob, _ assignment: WorkerCore.Assignment, _ order: DenoiseOrder, _ begun: [Int: SampleState],
        _ version: ModelShelf.Version, cost: Double
    ) throws(RequestError) {
        let plans = order.plans(lowestCut: version.lowestCut)
        let text: JobText?
        do {
            text = try order.text.map { words in
                try attempt(.text) { JobText(words, for: shelf.denoiser(version.number)?.network.network) }
            }
        } catch { return giveUp(opened, assignment, cost: Job.charge(cost), error) }
        let ticket: StepScheduler.Ticket
        do {
            ticket = try scheduler.add(
                plans.enumerated().map {
                    .init(passes: $1.passes, guided: order.isGuided, passesDone: begun[$0]?.passesDone ?? 0)
                },
                group: .init(model: version.number, shape: shape, tokens: order.text?.tokens ?? 0),
                priority: Int32(clamping: opened.client.priority),
                deadline: order.deadline, alone: assignment.alone)
        } catch {
            throw RequestError(.badRequest, error.message)
        }
        jobs[ticket] = Job(
            opened: opened, assignment: assignment, version: version, order: order, plans: plans, text: text,
            cost: cost, mark: .init(at: Self.now))
        tickets[assignment.key] = ticket
        for (index, state) in begun { samples[.init(ticket: ticket, index: index)] = state }
        versions[version.number, default: 0] += 1
        if versions[version.number] == 1 { send(.versionsInUse(Set(versions.keys))) }
    }

    mutating func cancel(_ key: JobKey, _ fence: Fence) {
        parked.removeAll { $0.assignment.key == key && $0.assignment.fence == fence }
        guard let ticket = tickets[key], jobs[ticket]?.fence == fence else { return }
        drop(ticket)
    }

    /// Whatever is under way of the job.
    private mutating func forget(_ key: JobKey) {
        parked.removeAll { $0.assignment.key == key }
        if let ticket = tickets[key] { drop(ticket) }
    }

    mutating func drop(_ ticket: StepScheduler.Ticket) {
        scheduler.cancel(ticket)
        forget(ticket)
    }

    /// Of a job that the scheduler has no more.
    mutating func forget(_ ticket: StepScheduler.Ticket) {
        guard let job = jobs.removeValue(forKey: ticket) else { return }
        tickets[job.key] = nil
        for index in job.plans.indices { samples[.init(ticket: ticket, index: index)] = nil }
        let left = (versions[job.version.number] ?? 0) - 1
        versions[job.version.number] = left > 0 ? left : nil
        if left <= 0 { send(.versionsInUse(Set(versions.keys))) }
    }

    /// Gives everything back, with as much of it as is done: another worker goes on. Nothing is left.
    mutating func handBackAll() {
        for assignment in parked.map(\.assignment) {
            send(desk.handBack(assignment.key, assignment.fence, .draining, Self.farewell, retryAfter: 0))
        }
        parked = []
        for (ticket, job) in jobs.sorted(by: { $0.key.number < $1.key.number }) {
            writeDown(ticket)
            send(desk.handBack(job.key, job.fence, .draining, Self.farewell, retryAfter: 0))
            drop(ticket)
        }
    }

    static let farewell = "this worker was asked to end"

    // MARK: one pass

    mutating func iterate() {
        scheduler.now = .now
        endHopeless()
        guard let iteration = scheduler.next() else { return }
        let began = ContinuousClock.now
        do { try step(iteration) } catch { return retry(iteration, error) }
        charge(iteration, (ContinuousClock.now - began) / .microseconds(1))
        for ticket in scheduler.advance().completed { finish(ticket) }
        widen()
        stopOverCeiling(iteration)
        passed(iteration)
    }

    private mutating func step(_ iteration: StepScheduler.Iteration) throws {
        // A group's samples were all admitted with its version, which the shelf keeps while they run.
        guard let denoiser = shelf.denoiser(iteration.group.model) else {
            preconditionFailure("a version was dropped while samples of it ran")
        }
        let slots = iteration.slots
        let (states, images) = try attempt(.pass(width: iteration.width)) {
            var states = try slots.map { try samples[$0.sample] ?? begin($0.sample) }
            let text = JobText.rows(
                of: slots.compactMap { slot in
                    jobs[slot.sample.ticket]?.text.map { ($0, slot.sample.index, slot.guided) }
                })
            let images = withoutGradients { denoiser.advance(&states, text: text) }
            // What a pass cost is known when the device is through with it, and so is what went wrong there.
            try shelf.device.finish()
            return (states, images)
        }
        for (slot, state) in zip(slots, states) { samples[slot.sample] = state }
        showPreviews(slots, images)
    }

    private func begin(_ sample: StepScheduler.SampleID) throws -> SampleState {
        guard let job = jobs[sample.ticket] else { preconditionFailure("a sample of no job was to run") }
        return try job.order.begin(job.plans[sample.index], at: sample.index, model: job.version.number, run)
            .on(shelf.device)
    }

    private mutating func charge(_ iteration: StepScheduler.Iteration, _ microseconds: Double) {
        passes += 1
        quickest = min(quickest, microseconds / 1_000)
        send(.iterations(passes))
        for slot in iteration.slots {
            jobs[slot.sample.ticket]?.cost += microseconds * Double(slot.width) / Double(iteration.width)
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
                .progress(job.key, job.fence, done: UInt64(progress.done), total: UInt64(progress.total)))
        }
    }

    /// Jobs that cannot be there in time any more leave room for others.
    private mutating func endHopeless() {
        let now = Self.now
        guard now - lookedForHopeless >= Self.reportInterval else { return }
        lookedForHopeless = now
        endParkedTooLate()
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

    /// Those that wait for their version are answered when their deadline passes, and not when there is room.
    private mutating func endParkedTooLate() {
        for job in parked {
            do throws(RequestError) { try job.order.checkDeadline(at: .now) } catch {
                send(desk.answer(error.payload, to: job.opened, fence: job.assignment.fence, cost: 0))
                parked.removeAll { $0.assignment.key == job.assignment.key }
            }
        }
    }
}

import Wire

@testable import Exchange

/// What the world asks of a process with a DEALER, client or worker.
protocol SimulatedProcess {
    mutating func opened(at moment: Moment) -> Answer
    mutating func receive(_ frames: Frames, at moment: Moment) -> Answer
    mutating func tick(at moment: Moment) -> Answer
    mutating func submit(_ envelope: Envelope, _ sealed: [UInt8], at moment: Moment) -> Answer
    mutating func cancel(_ job: JobID, at moment: Moment) -> Answer
    mutating func acknowledge(_ job: JobID, at moment: Moment) -> Answer
    var nextDeadline: Int64? { get }
}

struct Answer {
    var frames: [Frames] = []
    var reconnects = false
    /// To be acknowledged a little later.
    var surfaced: [JobID] = []
    var violations: [String] = []
}

extension World {
    mutating func drive(_ link: Int, _ action: (inout any SimulatedProcess, Moment) -> Answer) {
        var process: any SimulatedProcess = link < clients.count ? clients[link] : workers[link - clients.count]
        let answer = action(&process, moment)
        let deadline = process.nextDeadline
        if let client = process as? SimulatedClient { clients[link] = client }
        if let worker = process as? SimulatedWorker { workers[link - clients.count] = worker }
        failures += answer.violations
        for frames in answer.frames { send(frames, from: link) }
        for job in answer.surfaced { schedule(.acknowledge(link: link, job), in: delay(800)) }
        if answer.reconnects {
            links[link].socket += 1
            links[link].connection = nil
            drive(link) { $0.opened(at: $1) }
        }
        if let deadline, deadline < links[link].tickDue {
            links[link].tickDue = max(deadline, now)
            schedule(.tick(link: link), in: links[link].tickDue - now)
        }
    }

    /// One forward pass of the stub engine.
    mutating func runEngine(_ worker: Int) {
        schedule(.engine(worker: worker), in: 200 * .millisecond)
        let link = clients.count + worker
        guard links[link].isUp, workers[worker].hangsUntil <= now else { return }
        let (answer, violations) = workers[worker].step(&random, at: moment)
        failures += violations
        for frames in answer { send(frames, from: link) }
    }
}

struct SimulatedClient: SimulatedProcess {
    let id: ClientID
    var toSubmit: Int
    var core: ClientCore
    /// The spool: it survives the process.
    var spool: [(envelope: Envelope, sealed: [UInt8])] = []
    var surfaced: Set<JobID> = []
    var settled: Set<JobID> = []
    var cancelled: Set<JobID> = []
    /// May expire before they are done.
    var mortal: Set<JobID> = []
    /// Results handed over in this process.
    private var handedOver: Set<JobID> = []

    init(id: ClientID, toSubmit: Int, random: inout SplitMix64) {
        self.id = id
        self.toSubmit = toSubmit
        core = ClientCore(client: id, random: SplitMix64(seed: random.next()))
    }

    var isDone: Bool { toSubmit == 0 && settled.count == spool.count }

    var unfinished: [(Envelope, [UInt8])] { spool.filter { !settled.contains($0.envelope.job) } }

    mutating func restart(_ random: inout SplitMix64) {
        core = ClientCore(client: id, random: SplitMix64(seed: random.next()))
        handedOver = []
    }

    mutating func nextJob(_ random: inout SplitMix64, _ lifetime: Int?, at moment: Moment) -> (Envelope, [UInt8])? {
        guard toSubmit > 0 else { return nil }
        toSubmit -= 1
        let life = lifetime.map { Int64(1 + random.below($0)) } ?? 24 * 3_600_000
        let envelope = Fixture.envelope(
            client: id, job: .random(using: &random), kind: random.chance(0.3) ? .publish : .denoise,
            expires: moment.wall + life)
        if lifetime != nil { mortal.insert(envelope.job) }
        spool.append((envelope, [UInt8](repeating: UInt8(spool.count & 255), count: 10)))
        return spool.last.map { ($0.envelope, $0.sealed) }
    }

    mutating func opened(at moment: Moment) -> Answer { answer(core.opened(at: moment)) }
    mutating func receive(_ frames: Frames, at moment: Moment) -> Answer { answer(core.receive(frames, at: moment)) }
    mutating func tick(at moment: Moment) -> Answer { answer(core.tick(at: moment)) }
    mutating func submit(_ envelope: Envelope, _ sealed: [UInt8], at moment: Moment) -> Answer {
        answer(core.handle(.submit(envelope, sealed: sealed), at: moment))
    }
    mutating func cancel(_ job: JobID, at moment: Moment) -> Answer { answer(core.handle(.cancel(job), at: moment)) }
    mutating func acknowledge(_ job: JobID, at moment: Moment) -> Answer {
        answer(core.handle(.acknowledge(job), at: moment))
    }
    var nextDeadline: Int64? { core.nextDeadline }

    private mutating func answer(_ actions: [LinkAction<ClientCore.Event>]) -> Answer {
        var answer = Answer()
        for action in actions {
            switch action {
            case .send(let frames): answer.frames.append(frames)
            case .reconnect, .move: answer.reconnects = true
            case .close: answer.violations.append("a client closed by itself")
            case .event(let event): note(event, &answer)
            }
        }
        return answer
    }

    private mutating func note(_ event: ClientCore.Event, _ answer: inout Answer) {
        switch event {
        case .result(let job, let header, let sealed):
            if !handedOver.insert(job).inserted { answer.violations.append("a result was handed over twice") }
            if sealed != Fixture.answer(to: JobKey(client: id, job: job)) {
                answer.violations.append("a client got another job's result")
            }
            if (try? ResultHeader(bytes: header))?.job != job { answer.violations.append("a header names another job") }
            surfaced.insert(job)
            answer.surfaced.append(job)
        case .ackStored(let job):
            if !surfaced.contains(job) { answer.violations.append("settled without a result: \(job.short)") }
            settled.insert(job)
        case .ended(let job, let code, _):
            let isAsked = [.cancelled, .unknownJob].contains(code) && cancelled.contains(job)
            if !isAsked && !(code == .expired && mortal.contains(job)) {
                answer.violations.append("a job ended by itself: \(code)")
            }
            settled.insert(job)
        case .rejected(let job, let code, let message, let retryAfter):
            if code == .expired, mortal.contains(job) {
                settled.insert(job)
            } else if retryAfter == nil {
                answer.violations.append("rejected: \(code) \(message)")
            }
        case .conflict(_, let message): answer.violations.append("conflict: \(message)")
        case .welcomed, .lost, .accepted, .preview, .status, .keys: break
        }
    }
}

struct SimulatedWorker: SimulatedProcess {
    let id: WorkerID
    let slots: UInt32
    var core: WorkerCore
    var hangsUntil: Int64 = 0
    private var running: [JobKey: (fence: Fence, left: Int, done: UInt64, alone: Bool)] = [:]
    private var iterations: UInt64 = 0

    init(id: WorkerID, slots: UInt32, random: inout SplitMix64) {
        self.id = id
        self.slots = slots
        core = Self.core(slots, &random)
    }

    private static func core(_ slots: UInt32, _ random: inout SplitMix64) -> WorkerCore {
        WorkerCore(
            offer: WorkerCore.Offer(
                roles: [.denoise, .train], slots: slots, run: Fixture.run,
                poolKeys: [Fixture.denoiseKey, Fixture.trainKey]),
            random: SplitMix64(seed: random.next()))
    }

    mutating func restart(_ random: inout SplitMix64) {
        core = Self.core(slots, &random)
        running = [:]
        iterations = 0
    }

    mutating func step(_ random: inout SplitMix64, at moment: Moment) -> ([Frames], [String]) {
        var actions: [LinkAction<WorkerCore.Event>] = []
        if !running.isEmpty { iterations += 1 }
        actions += core.handle(.iterations(iterations), at: moment)
        for key in running.keys.sorted(by: { $0.job.description < $1.job.description }) {
            guard var job = running[key] else { continue }
            job.left -= 1
            job.done += 1
            running[key] = job
            if random.chance(0.01) {
                running[key] = nil
                actions += core.handle(.nack(key, job.fence, .busy, "busy", retryAfter: 100 * .millisecond), at: moment)
            } else if job.left <= 0 {
                running[key] = nil
                let (header, sealed) = Fixture.result(of: key, job.fence, worker: id)
                actions += core.handle(
                    .result(key, job.fence, cost: job.done * 1000, header: header, sealed: sealed), at: moment)
            } else {
                actions += core.handle(.progress(key, job.fence, done: job.done, total: job.done + 1), at: moment)
                if random.chance(0.1) {
                    let (step, version) = (UInt32(job.done), 1 + job.done % 3)
                    actions += core.handle(
                        .checkpoint(
                            key, job.fence, step: step, version: version, sealed: Self.state(key, step, version)),
                        at: moment)
                }
            }
        }
        let answer = answer(actions)
        return (answer.frames, answer.violations)
    }

    /// Stands for the sealed state.
    private static func state(_ key: JobKey, _ step: UInt32, _ version: UInt64) -> [UInt8] {
        key.client.bytes + key.job.bytes + [UInt8(step), UInt8(version)]
    }

    mutating func opened(at moment: Moment) -> Answer { answer(core.opened(at: moment)) }
    mutating func receive(_ frames: Frames, at moment: Moment) -> Answer { answer(core.receive(frames, at: moment)) }
    mutating func tick(at moment: Moment) -> Answer { answer(core.tick(at: moment)) }
    mutating func submit(_ envelope: Envelope, _ sealed: [UInt8], at moment: Moment) -> Answer { Answer() }
    mutating func cancel(_ job: JobID, at moment: Moment) -> Answer { Answer() }
    mutating func acknowledge(_ job: JobID, at moment: Moment) -> Answer { Answer() }
    var nextDeadline: Int64? { core.nextDeadline }

    private mutating func answer(_ actions: [LinkAction<WorkerCore.Event>]) -> Answer {
        var answer = Answer()
        for action in actions {
            switch action {
            case .send(let frames): answer.frames.append(frames)
            case .reconnect, .move: answer.reconnects = true
            case .close: answer.violations.append("a worker closed by itself")
            case .event(.job(let job)):
                if running[job.key] != nil { answer.violations.append("a worker got a job that it runs") }
                if job.alone, !running.isEmpty, running.values.contains(where: \.alone) {
                    answer.violations.append("two suspects share a worker")
                }
                let steps = 1 + Int(job.key.job.bytes[0] % 20)
                var done = 0
                if let checkpoint = job.checkpoint {
                    let header = checkpoint.header
                    if checkpoint.sealed != Self.state(job.key, header.step, header.modelVersion)
                        || header.fence.attempt >= job.fence.attempt || header.step >= steps
                    {
                        answer.violations.append("a worker got a checkpoint that is not its job's")
                    }
                    done = Int(header.step)
                }
                running[job.key] = (job.fence, steps - done, UInt64(done), job.alone)
            case .event(.cancel(let key, let fence, _)):
                if running[key]?.fence == fence { running[key] = nil }
            case .event: break
            }
        }
        return answer
    }
}

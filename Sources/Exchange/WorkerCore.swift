package import Wire

internal import struct Foundation.Data

/// The worker's end of the conversation.
///
/// It remembers which leases it holds and which results were not yet stored, so that a reconnection loses neither: READY names
/// the leases, and the results are said again until RESULT_STORED. Heartbeats carry the engine's iteration count: a worker
/// whose engine hangs still beats, and loses its leases.
package struct WorkerCore: LinkMachine {
    private enum Held: Sendable {
        /// → finished, handedBack, gone (cancelled, another attempt came)
        case running
        /// → gone (RESULT_STORED)
        case finished(cost: UInt64, header: [UInt8], sealed: [UInt8])
        /// Without a session. → gone (NACK went)
        case handedBack(WireCode, String, retryAfter: Int64)
    }

    private struct Lease: Sendable {
        let fence: Fence
        /// In which they came.
        let order: UInt64
        var held = Held.running
    }

    private struct Progress {
        var done: UInt64
        var total: UInt64
    }

    private var offer: Offer
    private var session: LinkSession
    private var leases: [JobKey: Lease] = [:]
    private var taken: UInt64 = 0
    private var iterations: UInt64 = 0
    private var fresh: [JobKey: Progress] = [:]
    private var lastReport: Int64 = 0
    private var lastBeat: Int64 = 0
    private var draining = false
    private var versionsInUse: Set<UInt64> = []
    private var versionsNeeded: Set<UInt64> = []
    /// Of this session. Answers come in order, so the one to a heartbeat says that all before it was heard.
    private var beatsSent = 0
    private var beatsAnswered = 0
    /// Uptime until which it waits to be heard before it goes.
    private var leaving: Int64?
    private var out: [LinkAction<Event>] = []
    private var now: Int64 = 0

    package init(
        offer: Offer, configuration: LinkConfiguration = LinkConfiguration(),
        random: some RandomNumberGenerator & Sendable
    ) {
        self.offer = offer
        session = LinkSession(side: .worker, configuration: configuration, random: random)
    }

    // MARK: LinkMachine

    package mutating func opened(at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            if let hello = core.session.opened(at: core.now) { core.out.append(.send(hello)) }
        }
    }

    package mutating func receive(_ frames: Frames, at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            switch core.session.receive(frames, at: core.now) {
            case .nothing: break
            case .reply(let frames): core.out.append(.send(frames))
            case .welcome(let welcome): core.welcome(welcome)
            case .lost(let loss): core.out.append(.event(.lost(loss)))
            case .message(let body, let attachments): core.receive(body, attachments)
            }
        }
    }

    package mutating func receivedGarbage(_ error: WireError, at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            if let loss = core.session.receivedGarbage(error, at: core.now) { core.out.append(.event(.lost(loss))) }
        }
    }

    package mutating func tick(at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            switch core.session.tick(at: core.now) {
            case .nothing, .beat: core.report()
            case .lost(let loss): core.out.append(.event(.lost(loss)))
            case .reconnect: core.out.append(.reconnect)
            case .move: core.out.append(.move)
            }
        }
    }

    package var nextDeadline: Int64? {
        guard session.isOpen else { return session.nextDeadline }
        let report = fresh.isEmpty ? nextBeat : min(nextBeat, nextReport)
        return [session.nextDeadline, report, leaving].compactMap { $0 }.min()
    }

    package mutating func handle(_ command: Command, at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            switch command {
            case .progress(let key, let fence, let done, let total):
                if core.holds(key, fence) { core.fresh[key] = Progress(done: done, total: total) }
                core.report()
            case .iterations(let count): core.iterations = count
            case .checkpoint(let key, let fence, let step, let version, let sealed):
                core.checkpoint(key, fence, step, version, sealed)
            case .preview(let key, let fence, let step, let header, let sealed):
                guard core.holds(key, fence) else { return }
                var preview = WirePreview()
                preview.jobID = Data(key.job.bytes)
                preview.step = step
                core.send(.preview(preview), [header, sealed])
            case .result(let key, let fence, let cost, let header, let sealed):
                guard core.holds(key, fence) else { return }
                core.fresh[key] = nil
                core.leases[key]?.held = .finished(cost: cost, header: header, sealed: sealed)
                core.sendResult(key)
            case .nack(let key, let fence, let code, let message, let retryAfter):
                guard core.holds(key, fence) else { return }
                core.fresh[key] = nil
                core.leases[key]?.held = .handedBack(code, message, retryAfter: retryAfter)
                core.sendNack(key)
            case .model(let model):
                core.offer.model = model
                core.beat()
            case .versionsInUse(let versions): core.versionsInUse = versions
            case .poolKeys(let keys):
                core.offer.poolKeys = keys
                core.sendReady()
            case .drain:
                core.draining = true
                core.send(.drain(WireDrain()))
            case .close:
                guard core.leaving == nil else { return }
                core.leaving = core.now + Self.longestLeave
                core.beat()
            }
        }
    }

    private mutating func round(_ moment: Moment, _ body: (inout WorkerCore) -> Void) -> [LinkAction<Event>] {
        now = moment.uptime
        body(&self)
        leave()
        defer { out = [] }
        return out
    }

    /// How long it waits to be heard before it goes.
    private static let longestLeave = 5 * Int64.second

    /// Says goodbye, if it is asked to go and everything that it said was heard: results are stored, hand-backs and their
    /// checkpoints have come in. Without a session there is nobody to wait for.
    private mutating func leave() {
        guard let until = leaving else { return }
        let isHeard =
            beatsAnswered >= beatsSent
            && leases.values.allSatisfy { if case .finished = $0.held { false } else { true } }
        guard isHeard || now >= until || !session.isOpen else { return }
        if let bye = session.close("done", at: now) { out.append(.send(bye)) }
        out.append(.close)
        leaving = nil
    }

    // MARK: the session

    private mutating func welcome(_ welcome: WireWelcome) {
        guard let broker = BrokerID(welcome.brokerID) else { return }
        beatsSent = 0
        beatsAnswered = 0
        out.append(
            .event(.welcomed(broker: broker, bootEpoch: welcome.bootEpoch, keyBundle: Array(welcome.keyBundle))))
        sendReady()
        for (key, lease) in inOrder {
            switch lease.held {
            case .running: break
            case .finished: sendResult(key)
            case .handedBack: sendNack(key)
            }
        }
        beat()
    }

    /// What a broker takes in one READY.
    private static let leasesNamed = 2 * Int(BrokerConfiguration().slotsPerWorker)

    private mutating func sendReady() {
        var ready = WireReady()
        ready.role = offer.roles.map(\.rawValue).sorted()
        ready.slots = offer.slots
        ready.poolKeyID = offer.poolKeys.map { Data($0.bytes) }
        ready.runID = Data(offer.run.bytes)
        if let model = offer.model { ready.model = model }
        // A lease that is not named is lost. So what is under way comes first, and then the newest results: a broker that does not know them
        // hears them only after this.
        let (finished, others) = inOrder.reduce(into: ([WireJobRef](), [WireJobRef]())) { held, lease in
            let ref = ref(lease.key, lease.value.fence)
            if case .finished = lease.value.held { held.0.append(ref) } else { held.1.append(ref) }
        }
        ready.held = Array((others + finished.reversed()).prefix(Self.leasesNamed))
        send(.ready(ready))
        if draining { send(.drain(WireDrain())) }
    }

    private mutating func send(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = []) {
        if let frames = session.number(body, attachments, at: now) { out.append(.send(frames)) }
    }

    // MARK: heartbeats and progress

    private var nextBeat: Int64 { lastBeat + session.beat }
    private var nextReport: Int64 { lastReport + session.beat / 4 }

    /// Says what is new, but not more often than it is of use.
    private mutating func report() {
        guard session.isOpen else { return }
        if !fresh.isEmpty, now >= nextReport {
            var progress = WireProgress()
            progress.job = inOrder.compactMap { key, lease in
                guard let steps = fresh[key] else { return nil }
                var job = WireJobProgress()
                job.job = ref(key, lease.fence)
                job.stepsDone = steps.done
                job.stepsTotal = steps.total
                return job
            }
            fresh.removeAll(keepingCapacity: true)
            lastReport = now
            if !progress.job.isEmpty { send(.progress(progress)) }
        }
        if now >= nextBeat { beat() }
    }

    private mutating func beat() {
        lastBeat = now
        var heartbeat = WireHeartbeat()
        heartbeat.iterations = iterations
        heartbeat.versionInUse = versionsInUse.sorted()
        if let model = offer.model { heartbeat.model = model }
        if session.isOpen { beatsSent += 1 }
        send(.heartbeat(heartbeat))
    }

    // MARK: jobs

    private var inOrder: [(key: JobKey, value: Lease)] { leases.sorted { $0.value.order < $1.value.order } }

    private func holds(_ key: JobKey, _ fence: Fence) -> Bool {
        guard let lease = leases[key], lease.fence == fence, case .running = lease.held else { return false }
        return true
    }

    private mutating func receive(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]]) {
        switch body {
        case .job(let job): take(job, attachments)
        case .cancelJob(let cancel):
            guard let (key, fence) = read(cancel.job), leases[key]?.fence == fence else { return }
            drop(key)
            out.append(.event(.cancel(key, fence, cancel.code)))
        case .resultStored(let stored):
            guard let (key, fence) = read(stored.job), leases[key]?.fence == fence else { return }
            drop(key)
            out.append(.event(.resultStored(key, fence, stale: stored.stale)))
        case .drain: out.append(.event(.brokerDraining))
        case .pong(let pong):
            beatsAnswered += 1
            let needed = Set(pong.versionInUse)
            guard offer.roles.contains(.train), needed != versionsNeeded else { return }
            versionsNeeded = needed
            out.append(.event(.versionsNeeded(needed)))
        default: break  // A kind that only a newer broker sends.
        }
    }

    private mutating func take(_ job: WireJob, _ attachments: [[UInt8]]) {
        guard let (key, fence) = read(job.job), let envelope = try? Envelope(bytes: attachments[0]), envelope.key == key
        else { return }
        if let older = leases[key] {
            guard older.fence != fence else { return }
            out.append(.event(.cancel(key, older.fence, .cancelled)))
            drop(key)
        }
        taken += 1
        leases[key] = Lease(fence: fence, order: taken)
        var checkpoint: Checkpoint?
        // Without a header that can be read it is none, and the job begins anew.
        if attachments.count > 2, let header = try? CheckpointHeader(job.checkpoint) {
            checkpoint = Checkpoint(header: header, sealed: attachments[2])
        }
        out.append(
            .event(
                .job(
                    Assignment(
                        key: key, fence: fence, envelope: envelope, sealed: attachments[1],
                        checkpoint: checkpoint, alone: job.alone,
                        lease: Int64(min(job.leaseMs, 86_400_000)) * .millisecond,
                        memoryFailures: Int(job.memoryFailures)))))
    }

    private mutating func checkpoint(
        _ key: JobKey, _ fence: Fence, _ step: UInt32, _ version: UInt64, _ sealed: [UInt8]
    ) {
        guard holds(key, fence) else { return }
        var checkpoint = WireCheckpoint()
        checkpoint.job = ref(key, fence)
        checkpoint.step = step
        checkpoint.modelVersion = version
        send(.checkpoint(checkpoint), [sealed])
    }

    private mutating func sendResult(_ key: JobKey) {
        guard let lease = leases[key], case .finished(let cost, let header, let sealed) = lease.held else { return }
        var result = WireWorkerResult()
        result.job = ref(key, lease.fence)
        result.cost = cost
        send(.workerResult(result), [header, sealed])
    }

    private mutating func sendNack(_ key: JobKey) {
        guard session.isOpen, let lease = leases[key], case .handedBack(let code, let message, let wait) = lease.held
        else {
            return
        }
        var nack = WireNack()
        nack.job = ref(key, lease.fence)
        nack.code = code
        nack.message = message
        nack.retryAfterMs = UInt64(max(wait / .millisecond, 0))
        send(.nack(nack))
        drop(key)
    }

    private mutating func drop(_ key: JobKey) {
        leases[key] = nil
        fresh[key] = nil
    }

    private func ref(_ key: JobKey, _ fence: Fence) -> WireJobRef {
        var ref = WireJobRef()
        ref.clientID = Data(key.client.bytes)
        ref.jobID = Data(key.job.bytes)
        ref.fence = fence.message
        return ref
    }

    private func read(_ ref: WireJobRef) -> (JobKey, Fence)? {
        guard let client = ClientID(ref.clientID), let job = JobID(ref.jobID), let fence = try? Fence(ref.fence) else {
            return nil
        }
        return (JobKey(client: client, job: job), fence)
    }
}

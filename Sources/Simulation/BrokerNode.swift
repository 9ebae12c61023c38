internal import Exchange
internal import Wire

internal import struct Foundation.Data

/// The broker: the real `BrokerCore` behind the real `CommitBarrier`, and a journal on a virtual disk that takes its time.
final class BrokerNode {
    /// Where in a round a crash strikes.
    enum CrashPoint: CaseIterable {
        case beforeWrite, afterWrite, afterSync, amidSends
    }

    unowned let world: Simulation
    /// Among the brokers.
    let place: Int
    let id: BrokerID
    private(set) var core: BrokerCore?
    private var barrier = CommitBarrier()
    private(set) var journal = SimulatedJournal()
    private var stored: UInt64 = 0
    private var random: SplitMix64

    /// Grows with every start.
    private(set) var life = 0
    private var tickDue: Int64 = .max
    var pausedUntil: Int64 = 0
    /// Milliseconds by which its wall clock is wrong.
    var wallOffset: Int64 = 0
    var crashPoint: CrashPoint?
    /// Uptime until which the disk is full.
    var fullUntil: Int64 = 0
    private var isCommitting = false
    /// With its disk, for good.
    private(set) var isGone = false
    /// Of its newest life; nil: there are too many clients to compare.
    private var fairness: FairnessChecker?
    /// Bytes that a planted bug keeps counting.
    private var unreturned = 0

    init(place: Int, world: Simulation, random: SplitMix64) {
        self.place = place
        id = Deployment.broker(place)
        self.world = world
        self.random = random
    }

    var moment: Moment {
        var moment = world.moment
        moment.wall += wallOffset
        return moment
    }

    func start() {
        guard core == nil, !isGone else { return }
        life += 1
        journal.disk.isFull = false
        let batches = journal.recover(keepsTornTail: world.bug == .tornTailKept)
        // What survived a crash without having been promised is stored too.
        for batch in batches where batch.number > stored { note(batch) }
        stored = batches.last?.number ?? 0
        var entries = batches.flatMap(\.entries)
        if world.bug == .redeliveryForgotten {
            var leased: Set<JobKey> = []
            for case .attempted(let key, _, _) in entries { leased.insert(key) }
            for case .finished(let key, _, _, _) in entries { leased.remove(key) }
            entries.removeAll { leased.contains($0.key) }
        }
        core = BrokerCore(
            configuration: configuration, broker: id, bootEpoch: journal.bootEpoch,
            recovered: entries, rights: { [weak self] in self?.rights(of: $0) },
            random: SplitMix64(seed: random.next()))
        unreturned = 0
        fairness =
            world.comparesTurns
            ? FairnessChecker(
                limits: world.configuration.limits, slots: world.slots, ageing: world.configuration.ageing,
                recovered: entries, at: world.now
            ) { [world] in world.rights(of: $0) ?? ClientRights() } : nil
        barrier = CommitBarrier()
        isCommitting = false
        crashPoint = nil
        audit()
        scheduleTick(at: world.now)
    }

    private var configuration: BrokerConfiguration {
        var configuration = world.configuration
        if world.bug == .nothingAges { configuration.ageing = .max }
        return configuration
    }

    /// Entries of a batch are stored now.
    private func note(_ batch: SimulatedJournal.Batch) {
        for entry in batch.entries { world.checker.stored(entry, at: id, epoch: batch.epoch, wall: batch.wall) }
        world.checker.batchIsStored()
    }

    // MARK: what reaches it

    func receive(_ frames: Frames, from connection: ConnectionID, as principal: Principal) {
        guard core != nil else { return }
        var frames = frames
        if world.bug == .fencesIgnored { renew(&frames) }
        // What is due first, so that it is seen what the message finds.
        var actions = core?.tick(at: moment) ?? []
        let cost = measured(by: frames)
        actions += core?.receive(frames, from: connection, as: known(principal), at: moment) ?? []
        if case .submit = frames.control.body, !Self.isAnswered(actions, on: connection) {
            world.checker.object("a SUBMIT of \(connection) got no answer")
        }
        carryOut(actions, cost: cost)
    }

    /// What a worker measured of a job that is leased still; what it says that it holds is noted.
    private func measured(by frames: Frames) -> UInt64? {
        switch frames.control.body {
        case .ready(let ready):
            fairness?.named(ready.held.compactMap(Self.key), at: world.now)
            return nil
        case .workerResult(let result):
            guard let key = Self.key(of: result.job), core?.standing(of: key)?.state == .leased else { return nil }
            return result.cost
        default: return nil
        }
    }

    private static func key(of job: WireJobRef) -> JobKey? {
        guard let client = ClientID(job.clientID), let number = JobID(job.jobID) else { return nil }
        return JobKey(client: client, job: number)
    }

    private func key(_ job: Data, of connection: ConnectionID) -> JobKey? {
        guard let client = world.client(behind: connection), let job = JobID(job) else { return nil }
        return JobKey(client: client, job: job)
    }

    /// As this broker knows it: some planted bugs misread the roster.
    private func rights(of client: ClientID) -> ClientRights? {
        guard var rights = world.rights(of: client) else { return nil }
        switch world.bug {
        case .weightsIgnored: rights.weight = 1
        case .prioritiesIgnored: rights.priority = 0
        case .firstComeFirstServed: rights.priority = -(fairness?.rank(of: client) ?? 0)
        default: break
        }
        return rights
    }

    private func known(_ principal: Principal) -> Principal {
        guard case .client(let client, let rights) = principal else { return principal }
        return .client(client, self.rights(of: client) ?? rights)
    }

    private static func isAnswered(_ actions: [BrokerAction], on connection: ConnectionID) -> Bool {
        actions.contains { action in
            switch action {
            case .drop(let dropped): return dropped == connection
            case .send(let frames, let receiver):
                guard receiver == connection else { return false }
                switch frames.control.body {
                case .accepted, .rejected, .conflict, .ended, .ackStored: return true
                default: return false
                }
            case .append: return false
            }
        }
    }

    /// The planted bug: any result is taken for one of the newest attempt.
    private func renew(_ frames: inout Frames) {
        guard case .workerResult(var result) = frames.control.body,
            let header = try? ResultHeader(bytes: frames.attachments[0]),
            let newest = world.checker.records[id]?[header.key]?.newest
        else { return }
        result.job.fence = newest.message
        frames.control.body = .workerResult(result)
        frames.attachments[0] =
            ResultHeader(
                client: header.client, job: header.job, envelopeHash: header.envelopeHash, fence: newest,
                status: header.status, worker: header.worker
            ).bytes
    }

    func unreachable(_ connection: ConnectionID) {
        carryOut(core?.unreachable(connection, at: moment) ?? [])
    }

    func tick(life: Int) {
        guard self.life == life, tickDue <= world.now, core != nil else { return }
        tickDue = .max
        carryOut(core?.tick(at: moment) ?? [])
    }

    private func scheduleTick(at time: Int64) {
        tickDue = max(time, world.now)
        world.schedule(.tickBroker(place, life: life), at: tickDue)
    }

    // MARK: rounds

    private func carryOut(_ actions: [BrokerAction], cost: UInt64? = nil) {
        guard core != nil else { return }
        judge(actions, cost: cost)
        var entries: [JournalEntry] = []
        for case .append(let entry) in actions { entries.append(entry) }
        let number = entries.isEmpty ? journal.appended : journal.append(entries, wall: moment.wall)
        guard !crashes(at: .beforeWrite) else { return }
        beginCommit()
        guard core != nil else { return }
        let stored = world.bug == .acceptedBeforeSync ? UInt64.max : self.stored
        send(barrier.release(stored: stored) + barrier.pass(actions, after: number, stored: stored))
        if let due = core?.nextDeadline, due < tickDue { scheduleTick(at: due) }
    }

    private func judge(_ actions: [BrokerAction], cost: UInt64?) {
        let compared = fairness?.comparisons ?? 0
        fairness?.decided(actions, cost: cost, at: world.now)
        world.checker.turnsCompared += (fairness?.comparisons ?? 0) - compared
        if let violation = fairness?.violation { world.checker.object(violation) }
        guard world.bug == .bytesNotReturned else { return }
        for case .append(.ended(_, .cancelled)) in actions { unreturned += BrokerHoldings.jobOverhead }
    }

    private func send(_ actions: [BrokerAction]) {
        for action in actions {
            guard case .send(let frames, let connection) = action else { continue }
            if crashPoint == .amidSends, random.chance(0.3) { return world.crash(self) }
            observe(frames, to: connection)
            world.send(frames, to: connection)
            if case .job(let job) = frames.control.body { core?.left(job.job, over: connection, at: moment) }
        }
    }

    private func observe(_ frames: Frames, to connection: ConnectionID) {
        switch frames.control.body {
        case .accepted(let accepted):
            if let key = key(accepted.jobID, of: connection) { world.checker.promised(key, by: id) }
        case .ackStored(let stored):
            if let key = key(stored.jobID, of: connection) { world.checker.settled(key, by: id) }
        case .resultStored(let stored):
            guard !stored.stale, let key = Self.key(of: stored.job), let fence = try? Fence(stored.job.fence) else {
                return
            }
            world.checker.confirmed(key, fence, by: id)
        case .job(let job):
            guard let key = Self.key(of: job.job) else { return }
            world.checker.leased(key, by: id, alone: job.alone)
        default: break
        }
    }

    // MARK: the disk

    private func beginCommit() {
        guard !isCommitting, !journal.isIdle else { return }
        do {
            if !journal.isWriting { try journal.write() }
        } catch {
            // Full: nothing new is taken, and it is tried again.
            core?.takeJobs(false)
            isCommitting = true
            return world.schedule(.commit(place, life: life, isRetry: true), at: world.now + 1 * .second)
        }
        isCommitting = true
        guard !crashes(at: .afterWrite) else { return }
        let wait = random.chance(0.01) ? random.milliseconds(100...900) : random.milliseconds(1...12)
        world.schedule(.commit(place, life: life, isRetry: false), at: world.now + wait)
    }

    func commit(life: Int, isRetry: Bool) {
        guard self.life == life, core != nil else { return }
        isCommitting = false
        if world.now >= fullUntil { journal.disk.isFull = false }
        guard !isRetry else { return carryOut([]) }
        do {
            for batch in try journal.sync() {
                note(batch)
                stored = batch.number
            }
        } catch { return world.crash(self) }
        core?.takeJobs(true)
        guard !crashes(at: .afterSync) else { return }
        carryOut([])
    }

    func fillDisk(until time: Int64) {
        fullUntil = time
        journal.disk.isFull = true
    }

    func failNextSync() { journal.disk.failsNextSync = true }

    // MARK: the end

    private func crashes(at point: CrashPoint) -> Bool {
        guard crashPoint == point, core != nil else { return false }
        world.crash(self)
        return true
    }

    func crash(losesPower: Bool) {
        core = nil
        tickDue = .max
        crashPoint = nil
        pausedUntil = 0
        journal.crash(losesPower: losesPower, &random)
    }

    /// The machine and its disk are gone.
    func vanish() {
        isGone = true
        world.checker.lost(id)
        world.crash(self)
    }

    /// No new jobs from now on.
    func drain() {
        guard let actions = core?.drain(at: moment) else { return }
        carryOut(actions)
        if core != nil { world.schedule(.endDrain(place, life: life), in: 1 * .second) }
    }

    /// Ends once nothing is under way any more, or with this chance.
    func endDrain(life: Int) {
        guard self.life == life, let core else { return }
        guard core.undrained == 0 || random.chance(0.02) else {
            return world.schedule(.endDrain(place, life: life), in: 1 * .second)
        }
        leave()
        world.crash(self)
    }

    /// As SIGTERM would have it.
    func leave() {
        guard let actions = core?.close(at: moment) else { return }
        carryOut(actions)
        guard core != nil else { return }
        if let batches = try? finishJournal() { for batch in batches { note(batch); stored = batch.number } }
        send(barrier.release(stored: stored))
    }

    private func finishJournal() throws(VirtualDisk.Failure) -> [SimulatedJournal.Batch] {
        var batches: [SimulatedJournal.Batch] = []
        if journal.isWriting { batches += try journal.sync() }
        if !journal.isIdle {
            try journal.write()
            batches += try journal.sync()
        }
        return batches
    }

    // MARK: for the checker

    /// Only when nothing is on its way to the disk do broker and journal have to say the same.
    func audit() {
        guard let core else { return }
        var holdings = core.holdings
        holdings.countedBytes += unreturned
        world.checker.audit(holdings, limits: world.configuration.limits)
        guard journal.isIdle else { return }
        world.checker.audit(holdings, at: id)
        world.checker.audit(core.jobReports(), at: id) { core.standing(of: $0) }
    }

    /// The operator replays dead letters.
    func retry(_ keys: [JobKey]) {
        for key in keys {
            guard let actions = core?.retry(key, at: moment) else { continue }
            carryOut(actions)
        }
    }
}

/// Who and what there is in every history.
enum Deployment {
    static let run: RunID = identifier(7)
    static let denoiseKey: PoolKeyID = identifier(100)
    static let trainKey: PoolKeyID = identifier(101)
    static func broker(_ place: Int) -> BrokerID { identifier(1 + place) }
    static func place(of broker: BrokerID) -> Int? { (0..<largest).first { self.broker($0) == broker } }
    static func client(_ place: Int) -> ClientID { identifier(1 + place) }
    static func place(of client: ClientID) -> Int? {
        Int(exactly: client.bytes.number(at: 0, length: 8)).map { $0 - 1 }
    }
    /// The fourth of each four goes before the others, until they have waited long enough.
    static func rights(ofClient place: Int) -> ClientRights {
        ClientRights(priority: place % 4 == 3 ? 1 : 0, weight: UInt32(1 + place % 2))
    }
    /// Brokers in a history.
    static let largest = 16
    /// Unix time in milliseconds at uptime 0.
    static let wall: Int64 = 1_800_000_000_000

    /// The broker's defaults, but for limits so low that they are reached: for few clients the same, for many a job each. A
    /// multitude says seldom that it is there.
    static func configuration(clients: Int) -> BrokerConfiguration {
        let jobs = max(64, clients)
        var configuration = BrokerConfiguration()
        configuration.runs = [run]
        configuration.poolKeys = [
            denoiseKey: BrokerConfiguration.PoolKey(role: .denoise, openUntil: .max),
            trainKey: BrokerConfiguration.PoolKey(role: .train, openUntil: .max),
        ]
        configuration.keyBundle = [1, 2, 3]
        configuration.limits.jobs = jobs
        configuration.limits.jobsPerClient = 24
        configuration.limits.bytes = jobs << 10
        configuration.limits.bytesPerClient = 24 << 10
        configuration.limits.resultBytes = jobs * 768
        configuration.limits.resultBytesPerClient = 24 << 10
        configuration.limits.checkpointBytes = 4 << 10
        if clients > 10_000 { configuration.heartbeat = Int64(max(30, clients / 5_000)) * .second }
        configuration.credit = 4
        configuration.resultWindow = 4
        return configuration
    }
}

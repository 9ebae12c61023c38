import Foundation
import Testing
import Wire

@testable import Exchange

/// A broker on the bench: messages by hand, answers to look at.
struct BrokerBench {
    struct Peer {
        let connection: ConnectionID
        let principal: Principal
        var sent: UInt64 = 0
    }

    struct Sent {
        let to: ConnectionID
        let frames: Frames

        var body: WireControl.OneOf_Body? { frames.control.body }
    }

    var core: BrokerCore
    var now: Int64 = 0
    /// What the last call brought.
    var sent: [Sent] = []
    var dropped: [ConnectionID] = []
    var journal: [JournalEntry] = []
    /// JOBs wait for the disk, so to speak.
    var holdsJobs = false
    private var connections: UInt64 = 0

    init(
        _ configuration: BrokerConfiguration = Fixture.configuration, epoch: UInt64 = 1, recovered: [JournalEntry] = [],
        rights: [ClientID: ClientRights] = [:]
    ) {
        core = BrokerCore(
            configuration: configuration, broker: Fixture.broker, bootEpoch: epoch, recovered: recovered,
            rights: { rights[$0] }, random: SplitMix64(seed: 1))
        journal = recovered
    }

    var moment: Moment { Fixture.moment(now) }

    mutating func take(_ actions: [BrokerAction]) {
        sent = []
        dropped = []
        for action in actions {
            switch action {
            case .append(let entry): journal.append(entry)
            case .send(let frames, let connection):
                sent.append(Sent(to: connection, frames: frames))
                if !holdsJobs { leave(frames, connection) }
            case .drop(let connection): dropped.append(connection)
            }
        }
        let violations = Invariants.violations(of: core)
        #expect(violations.isEmpty)
    }

    /// Tells the core of JOBs that leave.
    mutating func leave(_ frames: Frames, _ connection: ConnectionID) {
        if case .job(let job) = frames.control.body { core.left(job.job, over: connection, at: moment) }
    }

    /// Lets time pass, ringing every deadline on the way.
    mutating func wait(_ duration: Int64) {
        let end = now + duration
        var all: [Sent] = []
        var gone: [ConnectionID] = []
        while let due = core.nextDeadline, due <= end {
            now = max(now, due)
            take(core.tick(at: moment))
            all += sent
            gone += dropped
        }
        now = end
        take(core.tick(at: moment))
        sent = all + sent
        dropped = gone + dropped
    }

    mutating func say(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = [], as peer: inout Peer) {
        peer.sent += 1
        var frames = Frames(body, attachments)
        frames.control.sequence = peer.sent
        take(core.receive(frames, from: peer.connection, as: peer.principal, at: moment))
    }

    // MARK: sessions

    mutating func peer(_ principal: Principal) -> Peer {
        connections += 1
        let side: Side = if case .client = principal { .client } else { .worker }
        return Peer(connection: ConnectionID(side: side, number: connections), principal: principal)
    }

    mutating func open(_ principal: Principal) -> Peer {
        var peer = peer(principal)
        greet(&peer)
        return peer
    }

    mutating func greet(_ peer: inout Peer) {
        var hello = WireHello()
        hello.role = peer.connection.side == .client ? "client" : "worker"
        say(.hello(hello), as: &peer)
        guard case .challenge(let challenge) = sent.first?.body else { return }
        hello.challenge = challenge.nonce
        say(.hello(hello), as: &peer)
    }

    mutating func client(_ number: Int, _ rights: ClientRights = ClientRights()) -> Peer {
        open(.client(identifier(number), rights))
    }

    mutating func worker(
        _ number: Int, slots: UInt32 = 4, roles: Set<WorkerRole> = [.denoise, .train], held: [WireJobRef] = []
    ) -> Peer {
        var peer = open(.worker(identifier(number), roles: roles))
        ready(&peer, slots: slots, roles: roles, held: held)
        return peer
    }

    mutating func ready(
        _ peer: inout Peer, slots: UInt32 = 4, roles: Set<WorkerRole> = [.denoise, .train], held: [WireJobRef] = [],
        keys: [PoolKeyID] = [Fixture.denoiseKey, Fixture.trainKey]
    ) {
        var ready = WireReady()
        ready.role = roles.map(\.rawValue).sorted()
        ready.slots = slots
        ready.runID = Data(Fixture.run.bytes)
        ready.poolKeyID = keys.map { Data($0.bytes) }
        ready.held = held
        say(.ready(ready), as: &peer)
    }

    // MARK: a client's words

    mutating func submit(_ envelope: Envelope, _ sealed: [UInt8] = [1, 2, 3], as peer: inout Peer) {
        say(.submit(WireSubmit()), [envelope.bytes, sealed], as: &peer)
    }

    /// Submits job `number` and expects it to be taken.
    @discardableResult mutating func submit(
        _ number: Int, kind: WireJobKind = .denoise, cost: UInt64 = 0, lifetime: Int64 = 3_600_000, as peer: inout Peer
    ) -> Envelope {
        guard case .client(let id, _) = peer.principal else { preconditionFailure("a client submits") }
        let envelope = Fixture.envelope(
            client: id, job: identifier(number), kind: kind, cost: cost, expires: moment.wall + lifetime)
        submit(envelope, as: &peer)
        return envelope
    }

    mutating func acknowledge(_ job: JobID, as peer: inout Peer) {
        var ack = WireResultAck()
        ack.jobID = Data(job.bytes)
        say(.resultAck(ack), as: &peer)
    }

    mutating func fetch(_ job: JobID, as peer: inout Peer) {
        var fetch = WireFetch()
        fetch.jobID = [Data(job.bytes)]
        say(.fetch(fetch), as: &peer)
    }

    mutating func cancel(_ job: JobID, as peer: inout Peer) {
        var cancel = WireCancel()
        cancel.jobID = Data(job.bytes)
        say(.cancel(cancel), as: &peer)
    }

    mutating func state(of job: JobID, as peer: inout Peer) -> WireJobState? {
        var query = WireStatusQuery()
        query.jobID = [Data(job.bytes)]
        say(.statusQuery(query), as: &peer)
        guard case .status(let status) = sent.first?.body else { return nil }
        return status.job.first?.state
    }

    /// Lines of the STATUS that came.
    var statusLines: Int? {
        guard case .status(let status) = sent.first?.body else { return nil }
        return status.job.count
    }

    // MARK: a worker's words

    /// - Parameter bytes: of the result; nil: few.
    mutating func finish(_ job: WireJobRef, cost: UInt64 = 1000, bytes: Int? = nil, as peer: inout Peer) {
        guard case .worker(let id, _) = peer.principal, let fence = try? Fence(job.fence) else { return }
        var result = WireWorkerResult()
        result.job = job
        result.cost = cost
        let key = JobKey(client: ClientID(job.clientID)!, job: JobID(job.jobID)!)
        let (header, sealed) = Fixture.result(of: key, fence, worker: id)
        say(.workerResult(result), [header, bytes.map { [UInt8](repeating: 0, count: $0) } ?? sealed], as: &peer)
    }

    mutating func beat(_ iterations: UInt64, as peer: inout Peer) {
        var heartbeat = WireHeartbeat()
        heartbeat.iterations = iterations
        say(.heartbeat(heartbeat), as: &peer)
    }

    mutating func progress(_ job: WireJobRef, _ done: UInt64, as peer: inout Peer) {
        var line = WireJobProgress()
        line.job = job
        line.stepsDone = done
        line.stepsTotal = 100
        var progress = WireProgress()
        progress.job = [line]
        say(.progress(progress), as: &peer)
    }

    mutating func checkpoint(
        _ job: WireJobRef, step: UInt32, version: UInt64, _ sealed: [UInt8], as peer: inout Peer
    ) {
        var checkpoint = WireCheckpoint()
        checkpoint.job = job
        checkpoint.step = step
        checkpoint.modelVersion = version
        say(.checkpoint(checkpoint), [sealed], as: &peer)
    }

    mutating func nack(_ job: WireJobRef, _ code: WireCode, _ message: String = "", as peer: inout Peer) {
        var nack = WireNack()
        nack.job = job
        nack.code = code
        nack.message = message
        say(.nack(nack), as: &peer)
    }

    // MARK: what was said

    /// Under which it is leased now.
    func lease(of key: JobKey) -> WireJobRef? {
        guard let place = core.clientPlaces[key.client], let handle = core.clients[place].jobs[key.job],
            case .leased(let lease) = core.jobs[handle]?.state
        else { return nil }
        return core.ref(key, lease.fence)
    }

    var deadLetters: [JobKey] { core.jobReports(in: .deadLetter).map(\.key) }

    /// JOBs of the last call.
    var leased: [WireJob] {
        sent.compactMap { if case .job(let job) = $0.body { job } else { nil } }
    }

    func has(_ check: (WireControl.OneOf_Body) -> Bool) -> Bool { sent.contains { $0.body.map(check) ?? false } }

    var byes: [String] { sent.compactMap { if case .bye(let bye) = $0.body { bye.reason } else { nil } } }

    var rejection: WireRejected? {
        sent.lazy.compactMap { if case .rejected(let it) = $0.body { it } else { nil } }.first
    }

    var results: [JobID] {
        sent.compactMap { if case .result(let result) = $0.body { JobID(result.jobID) } else { nil } }
    }

    var ended: [WireCode] { sent.compactMap { if case .ended(let ended) = $0.body { ended.code } else { nil } } }

    var stored: [WireResultStored] {
        sent.compactMap { if case .resultStored(let stored) = $0.body { stored } else { nil } }
    }

    var cancelled: [WireCancelJob] {
        sent.compactMap { if case .cancelJob(let cancel) = $0.body { cancel } else { nil } }
    }

    func has(_ entry: String) -> Bool { journal.contains { "\($0)".hasPrefix(entry) } }
}

func isAccepted(_ body: WireControl.OneOf_Body) -> Bool { if case .accepted = body { true } else { false } }
func isConflict(_ body: WireControl.OneOf_Body) -> Bool { if case .conflict = body { true } else { false } }
func isAckStored(_ body: WireControl.OneOf_Body) -> Bool { if case .ackStored = body { true } else { false } }
func isWelcome(_ body: WireControl.OneOf_Body) -> Bool { if case .welcome = body { true } else { false } }

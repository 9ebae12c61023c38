internal import Wire

internal import struct Foundation.Data

extension BrokerCore {
    mutating func receive(_ frames: Frames, fromClient client: Int, on connection: ConnectionID) {
        switch frames.control.body {
        case .submit: submit(envelope: frames.attachments[0], sealed: frames.attachments[1], by: client)
        case .cancel(let cancel): withJob(cancel.jobID, of: client) { $0.cancel($1, of: client) }
        case .resultAck(let ack): withJob(ack.jobID, of: client) { $0.acknowledge($1, of: client) }
        case .fetch(let fetch):
            for id in fetch.jobID.prefix(Self.jobsPerFetch) { withJob(id, of: client) { $0.fetch($1, of: client) } }
            deliver(to: client)
        case .statusQuery(let query): status(query, of: client)
        case .keys:
            var keys = WireKeys()
            keys.keyBundle = Data(configuration.keyBundle)
            send(.keys(keys), to: connection)
        case .reseal:
            var rejected = WireRejected()
            rejected.code = .unsupported
            rejected.message = "this broker asks for no new generations"
            send(.rejected(rejected), to: connection)
        case .ping: send(.pong(WirePong()), to: connection)
        case .pong: break
        case .bye: part(from: connection)
        default: dismiss(connection, "a message of this kind is not for clients to send")
        }
    }

    // MARK: SUBMIT

    /// Answers ACCEPTED (after the job is stored), REJECTED, CONFLICT, or for a job that is over how it ended.
    private mutating func submit(envelope bytes: [UInt8], sealed: [UInt8], by client: Int) {
        counters.submitted += 1
        let envelope: Envelope
        do { envelope = try Envelope(bytes: bytes) } catch {
            return reject(nil, .badMessage, error.message, client)
        }
        guard envelope.client == clients[client].id else {
            return reject(envelope.job, .unauthorized, "the envelope names another client", client)
        }
        let earlier = clients[client].jobs[envelope.job]
        if let earlier, !isEarlier(earlier, than: envelope) {
            return resubmit(earlier, envelope: bytes, sealed: sealed, by: client)
        }
        if let tombstone = clients[client].tombstones[envelope.job] {
            if tombstone.isOf(bytes) { return tell(tombstone.end, envelope.job, client) }
            // A job that expired may come again under a key and a lifetime that are valid now: the same job, its next generation.
            guard tombstone.end == .ended(.expired), tombstone.generation < envelope.generation
            else { return conflict(envelope.job, client) }
        }
        if let (code, message, retryAfter) = refusal(
            of: envelope, sealedBytes: sealed.count, client: client, replacing: earlier)
        {
            return reject(envelope.job, code, message, client, retryAfter: retryAfter)
        }
        // The client does not accept the result, or sealed the job anew at another broker: it goes as one goes that expired.
        if let earlier { end(earlier, .ended(.expired), isTold: false) }
        accept(envelope, sealed: sealed, by: client)
    }

    /// Whether this envelope is a later generation of the job, and the operator has not to decide on that first. A dead letter that expired gives way.
    private func isEarlier(_ handle: JobHandle, than envelope: Envelope) -> Bool {
        guard let job = jobs[handle] else { return false }
        if case .deadLetter = job.state, job.expires > now.wall { return false }
        return job.generation < envelope.generation
    }

    private mutating func accept(_ envelope: Envelope, sealed: [UInt8], by client: Int) {
        guard let handle = insert(envelope, sealed: sealed, client: client) else { return }
        if let former = forget(envelope.job, of: client) {
            // Attempts are counted on, by one that nobody has: what is still said of an earlier generation is stale.
            _ = jobs.update(handle) { $0.attempts = former.attempts + 1 }
        }
        counters.accepted += 1
        actions.append(.append(.accepted(envelope.key, envelope: envelope.bytes, sealed: sealed)))
        // A JOB that leaves goes first: a worker waits for it.
        enqueue(handle)
        tellAccepted(envelope.job, envelope.generation, client)
    }

    /// Puts a job into the table; used for new jobs and for those of the journal. The caller queues it.
    mutating func insert(_ envelope: Envelope, sealed: [UInt8], client: Int) -> JobHandle? {
        guard let role = WorkerRole(doing: envelope.kind) else { return nil }
        let lane = lane(LaneKey(role: role, run: envelope.run, poolKey: envelope.poolKey))
        let hasCeiling = envelope.costCeiling > 0
        let cost = min(hasCeiling ? envelope.costCeiling : configuration.defaultCost, configuration.maximumCost)
        let bytes = envelope.bytes.count + sealed.count + Job.overhead
        let handle = jobs.insert(
            Job(
                key: envelope.key, client: client, lane: lane, kind: envelope.kind, generation: envelope.generation,
                envelope: envelope.bytes, sealed: sealed,
                expires: envelope.expires, cost: cost, highestCost: hasCeiling ? cost : configuration.maximumCost,
                bytes: bytes))
        clients[client].jobs[envelope.job] = handle
        clients[client].usage.add(bytes: bytes)
        usage.add(bytes: bytes)
        wallTimers.add(.job(client: client, envelope.job), due: envelope.expires)
        return handle
    }

    private func refusal(
        of envelope: Envelope, sealedBytes: Int, client: Int, replacing earlier: JobHandle?
    ) -> (WireCode, String, retryAfter: UInt64)? {
        let rights = clients[client].rights
        let limits = configuration.limits.of(rights)
        guard let role = WorkerRole(doing: envelope.kind) else {
            return (.unsupported, "this kind of job is not known here", 0)
        }
        guard role == .train ? rights.publish : rights.denoise else {
            return (.unauthorized, "the roster gives this client no right to jobs of this kind; ask the operator", 0)
        }
        guard envelope.expires > now.wall else { return (.expired, "the envelope has expired; check the clock", 0) }
        guard envelope.expires - now.wall <= limits.longestLife else {
            return (.badMessage, "the envelope may expire at most \(limits.longestLife / 3_600_000) hours from now", 0)
        }
        guard configuration.runs.contains(envelope.run) else {
            return (.unknownRun, "the run \(envelope.run.short) is not served here", 0)
        }
        guard let key = configuration.poolKeys[envelope.poolKey], key.role == role, key.openUntil > now.wall else {
            return (
                .unknownPoolKey,
                "the pool key \(envelope.poolKey.short) is not in use for this; fetch KEYS and seal again", 0
            )
        }
        guard sealedBytes <= limits.bytesPerJob else {
            return (.tooLarge, "a payload may have \(limits.bytesPerJob) bytes, not \(sealedBytes); split the job", 0)
        }
        if draining { return (.draining, "the broker is going down", limits.retryAfter) }
        guard takesJobs else {
            return (.storage, "the broker cannot store jobs now; try again later", limits.retryAfter)
        }
        let bytes = envelope.bytes.count + sealedBytes + Job.overhead
        var own = clients[client].usage, all = usage
        if earlier == nil, clients[client].tombstones[envelope.job] == nil,
            let (code, message) = Usage.refusal(ofMemory: own, all: all, limits: limits)
        {
            return (code, message, limits.retryAfter * 10)
        }
        if let earlier = earlier.flatMap({ jobs[$0] }) {
            own.remove(bytes: earlier.bytes)
            all.remove(bytes: earlier.bytes)
        }
        return Usage.refusal(of: bytes, client: own, all: all, limits: limits)
            .map { ($0.code, $0.message, limits.retryAfter) }
    }

    private mutating func resubmit(_ handle: JobHandle, envelope: [UInt8], sealed: [UInt8], by client: Int) {
        guard let job = jobs[handle] else { return }
        // The payload of a done job is not kept any more.
        var samePayload = job.sealed == sealed
        if case .inMailbox = job.state { samePayload = true }
        guard job.envelope == envelope, samePayload else { return conflict(job.key.job, client) }
        if case .deadLetter = job.state { return tell(.ended(.deadLetter), job.key.job, client) }
        tellAccepted(job.key.job, job.generation, client)
        deliver(to: client)
    }

    // MARK: the rest

    /// A message that names more jobs is answered for the first of them: what one message costs the broker is bounded, so that
    /// nobody waits long behind it.
    static let jobsPerFetch = 64
    /// Here the answer is one message.
    static let jobsPerStatus = 4_096

    private mutating func cancel(_ id: JobID, of client: Int) {
        if let handle = clients[client].jobs[id] {
            end(handle, .ended(.cancelled))
        } else {
            tell(clients[client].tombstones[id]?.end ?? .ended(.unknownJob), id, client)
        }
    }

    /// The client has the result, be it from here or from another broker.
    private mutating func acknowledge(_ id: JobID, of client: Int) {
        if let handle = clients[client].jobs[id] {
            end(handle, .acknowledged)
        } else {
            tell(.acknowledged, id, client)
        }
    }

    /// What is in the mailbox comes by itself; about anything else the client is told.
    private mutating func fetch(_ id: JobID, of client: Int) {
        guard let handle = clients[client].jobs[id] else {
            return tell(clients[client].tombstones[id]?.end ?? .ended(.unknownJob), id, client)
        }
        if case .deadLetter = jobs[handle]?.state { tell(.ended(.deadLetter), id, client) }
    }

    private mutating func status(_ query: WireStatusQuery, of client: Int) {
        var status = roleStatus()
        if query.jobID.isEmpty {
            status.job = clients[client].jobs.values.sorted { $0.index < $1.index }.prefix(Self.jobsPerStatus)
                .compactMap { jobs[$0].map(Self.status) }
        } else {
            status.job = query.jobID.prefix(Self.jobsPerStatus).map { field in
                guard let id = JobID(field) else { return WireJobStatus() }
                if let handle = clients[client].jobs[id], let job = jobs[handle] { return Self.status(job) }
                var status = WireJobStatus()
                status.jobID = field
                status.state = clients[client].tombstones[id].map { Self.state($0.end) } ?? .unspecified
                return status
            }
        }
        send(.status(status), to: clients[client].session)
    }

    private static func status(_ job: Job) -> WireJobStatus {
        var status = WireJobStatus()
        status.jobID = Data(job.key.job.bytes)
        status.kind = job.kind
        status.attempts = job.attempts
        status.stepsDone = job.stepsDone
        status.stepsTotal = job.stepsTotal
        status.state =
            switch job.state {
            case .queued, .delayed: .queued
            case .leased: .leased
            case .inMailbox: .inMailbox
            case .deadLetter: .deadLetter
            }
        return status
    }

    private static func state(_ end: JobEnd) -> WireJobState {
        switch end {
        case .acknowledged: .acknowledged
        case .ended(.expired): .expired
        case .ended(.deadLetter): .deadLetter
        case .ended: .cancelled
        }
    }

    private mutating func withJob(_ field: Data, of client: Int, _ action: (inout BrokerCore, JobID) -> Void) {
        guard let id = JobID(field) else {
            if let session = clients[client].session { dismiss(session, "job_id must have 16 bytes") }
            return
        }
        action(&self, id)
    }

    // MARK: answers

    private mutating func reject(
        _ id: JobID?, _ code: WireCode, _ message: String, _ client: Int, retryAfter: UInt64 = 0
    ) {
        counters.rejected += 1
        var rejected = WireRejected()
        rejected.jobID = Data(id?.bytes ?? [])
        rejected.code = code
        rejected.message = message
        // Up to half as long again, so that all who were refused do not come back at once.
        rejected.retryAfterMs = retryAfter + UInt64.random(in: 0...retryAfter / 2, using: &random)
        send(.rejected(rejected), to: clients[client].session)
    }

    private mutating func conflict(_ id: JobID, _ client: Int) {
        counters.conflicts += 1
        var conflict = WireConflict()
        conflict.jobID = Data(id.bytes)
        conflict.message = "this job id is taken by another job of yours"
        send(.conflict(conflict), to: clients[client].session)
    }

    private mutating func tellAccepted(_ id: JobID, _ generation: UInt32, _ client: Int) {
        var accepted = WireAccepted()
        accepted.jobID = Data(id.bytes)
        accepted.generation = generation
        send(.accepted(accepted), to: clients[client].session)
    }

    /// Tells the client, if it is here, that a job is over.
    mutating func tell(_ jobEnd: JobEnd, _ id: JobID, _ client: Int) {
        switch jobEnd {
        case .acknowledged:
            var stored = WireAckStored()
            stored.jobID = Data(id.bytes)
            send(.ackStored(stored), to: clients[client].session)
        case .ended(let code):
            var ended = WireEnded()
            ended.jobID = Data(id.bytes)
            ended.code = code
            ended.message = Self.explanation(of: code)
            send(.ended(ended), to: clients[client].session)
        }
    }

    private static func explanation(of code: WireCode) -> String {
        switch code {
        case .cancelled: "cancelled"
        case .expired: "expired before it was done or before its result was acknowledged"
        case .deadLetter: "given up: it brought its worker down too often; the operator can replay it"
        case .unknownJob: "no such job is known here"
        case .tooLarge: "its result is larger than the broker keeps; split the job"
        default: "over"
        }
    }
}

internal import Wire

internal import struct Foundation.Data

extension BrokerCore {
    /// A result under the newest fence: on its way to its client, and to be stored.
    mutating func finish(_ handle: JobHandle, header: ResultHeader, sealed: [UInt8], cost: UInt64) {
        guard let job = jobs[handle] else { return }
        release(handle, .isMeasured(cost))
        counters.finished += 1
        let keptUntil = min(job.expires, now.wall + configuration.limits.resultLife)
        actions.append(.append(.finished(job.key, header: header.bytes, sealed: sealed, keptUntil: keptUntil)))
        keep(handle, header: header, sealed: sealed, until: keptUntil)
        if case .queued = job.state { leaveQueue(lane: job.lane, client: job.client, suspect: job.suspect) }
        deliver(to: job.client)
        serveHeld()
    }

    /// Puts a result into the mailbox; used for new results and for those of the journal.
    mutating func keep(_ handle: JobHandle, header: ResultHeader, sealed: [UInt8], until keptUntil: Int64) {
        guard let job = jobs[handle] else { return }
        let bytes = Self.weight(of: job, header: header, sealed: sealed)
        forgetCheckpoint(of: handle)
        weigh(handle, bytes: bytes)
        weighResults(bytes, of: job.client)
        _ = jobs.update(handle) { job in
            job.sealed = []
            job.state = .inMailbox(
                Delivery(header: header.bytes, sealed: sealed, fence: header.fence, keptUntil: keptUntil))
        }
        clients[job.client].mailbox.put(handle)
        if keptUntil < job.expires { wallTimers.add(.job(client: job.client, job.key.job), due: keptUntil) }
    }

    /// Sends results for as long as the client's window has room.
    mutating func deliver(to client: Int) {
        guard let session = clients[client].session else { return }
        while let handle = nextDelivery(to: client), let job = jobs[handle], case .inMailbox(let delivery) = job.state {
            var result = WireResult()
            result.jobID = Data(job.key.job.bytes)
            send(.result(result), [delivery.header, delivery.sealed], to: session)
        }
    }

    private mutating func nextDelivery(to client: Int) -> JobHandle? {
        let jobs = jobs
        return clients[client].mailbox.next(
            window: (configuration.resultWindow, configuration.resultWindowBytes),
            where: { jobs.isInMailbox($0) },
            size: { jobs[$0].map(\.bytes) ?? 0 })
    }

    // MARK: room

    /// What a job weighs in the mailbox.
    private static func weight(of job: Job, header: ResultHeader, sealed: [UInt8]) -> Int {
        job.envelope.count + header.bytes.count + sealed.count + Job.overhead
    }

    enum Room {
        case enough
        /// Until results have been taken away.
        case notNow
        /// However long it waits.
        case never
    }

    /// Whether a result finds room, beside what is kept free for others. What it weighs is what the next are taken to weigh.
    mutating func room(for header: ResultHeader, _ sealed: [UInt8], of handle: JobHandle) -> Room {
        guard let job = jobs[handle] else { return .never }
        let bytes = Self.weight(of: job, header: header, sealed: sealed), role = lanes[job.lane].key.role
        let limits = configuration.limits.of(clients[job.client].rights)
        // An eighth a time, so that one large result does not hold the small ones back for ever.
        let former = clients[job.client].resultSizes[role] ?? 0
        clients[job.client].resultSizes[role] = max(bytes, former - former / 8)
        guard sealed.count <= limits.bytesPerResult, bytes <= min(limits.resultBytesPerClient, limits.resultBytes)
        else { return .never }
        guard clients[job.client].usage.results + bytes <= limits.resultBytesPerClient,
            usage.results + bytes <= limits.resultBytes
        else { return .notNow }
        return .enough
    }

    /// Whether the result of another of the client's jobs will find room, as far as is known: within its own limit, and within what
    /// others leave free. So n clients that take nothing away come to hold an n+1-th of the room each, and leave one for the rest.
    func mayLease(of client: Int, _ role: WorkerRole) -> Bool {
        let limits = configuration.limits.of(clients[client].rights)
        let own = clients[client].usage.results + clients[client].usage.expected
        let all = usage.results + usage.expected
        let needed = own + expected(of: client, role)
        // One alone always has room, or nothing would ever move.
        return (own == 0 || needed <= limits.resultBytesPerClient) && (all == 0 || needed <= limits.resultBytes - all)
    }

    func expected(of client: Int, _ role: WorkerRole) -> Int { clients[client].resultSizes[role] ?? Job.overhead }

    /// Results have left, or fewer are expected: whoever was held back for want of room, and has it now, is served.
    mutating func serveHeld() {
        guard !held.isEmpty else { return }
        var freed: Set<WorkerRole> = []
        for client in held {
            for role in clients[client].held where mayLease(of: client, role) {
                clients[client].held.remove(role)
                queues[role]?.resume(client, at: now.uptime)
                freed.insert(role)
            }
        }
        guard !freed.isEmpty else { return }
        held.removeAll { clients[$0].held.isEmpty }
        for lane in lanes.indices where freed.contains(lanes[lane].key.role) { dispatch(lane) }
    }

    mutating func weighResults(_ bytes: Int, of client: Int) {
        clients[client].usage.results += bytes
        usage.results += bytes
    }

    /// Changes what a job counts for in its client's limit and in all.
    mutating func weigh(_ handle: JobHandle, bytes: Int) {
        guard let job = jobs[handle] else { return }
        clients[job.client].usage.bytes += bytes - job.bytes
        usage.bytes += bytes - job.bytes
        _ = jobs.update(handle) { $0.bytes = bytes }
    }

    mutating func leaveMailbox(_ handle: JobHandle, of client: Int) {
        let jobs = jobs
        clients[client].mailbox.remove(handle, where: { jobs.isInMailbox($0) })
    }
}

extension JobTable {
    func isInMailbox(_ handle: JobHandle) -> Bool {
        guard case .inMailbox = self[handle]?.state else { return false }
        return true
    }

    func isQueued(_ handle: JobHandle, suspect: Bool) -> Bool {
        guard let job = self[handle], job.suspect == suspect, case .queued = job.state else { return false }
        return true
    }
}

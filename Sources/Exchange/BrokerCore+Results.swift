internal import Wire

internal import struct Foundation.Data

extension BrokerCore {
    /// A result under the newest fence: stored, and on its way to its client.
    mutating func finish(_ handle: JobHandle, header: ResultHeader, sealed: [UInt8], cost: UInt64) {
        guard let job = jobs[handle] else { return }
        release(handle, actualCost: cost)
        counters.finished += 1
        actions.append(.append(.finished(job.key, header: header.bytes, sealed: sealed)))
        keep(handle, header: header, sealed: sealed)
        if case .queued = job.state { leaveQueue(lane: job.lane, client: job.client, suspect: job.suspect) }
        deliver(to: job.client)
    }

    /// Puts a result into the mailbox; used for new results and for those of the journal.
    mutating func keep(_ handle: JobHandle, header: ResultHeader, sealed: [UInt8]) {
        guard let job = jobs[handle] else { return }
        let keptUntil = min(job.expires, now.wall + configuration.limits.resultLife)
        let bytes = job.envelope.count + header.bytes.count + sealed.count + Job.overhead
        forgetCheckpoint(of: handle)
        weigh(handle, bytes: bytes)
        _ = jobs.update(handle) { job in
            job.sealed = []
            job.state = .inMailbox(
                Delivery(header: header.bytes, sealed: sealed, fence: header.fence, keptUntil: keptUntil))
        }
        clients[job.client].mailbox.put(handle)
        if keptUntil < job.expires { wallTimers.add(.job(handle), due: keptUntil) }
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

    mutating func nextDelivery(to client: Int) -> JobHandle? {
        let jobs = jobs
        return clients[client].mailbox.next(
            window: (configuration.resultWindow, configuration.resultWindowBytes),
            where: { jobs.isInMailbox($0) },
            size: { jobs[$0].map(\.bytes) ?? 0 })
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

internal import Wire

extension BrokerCore {
    mutating func runTimers() {
        // First: what is over is not to be leased any more.
        while let timer = wallTimers.take(until: now.wall) {
            switch timer {
            case .job(let client, let id):
                if let handle = clients[client].jobs[id] {
                    checkExpiry(of: handle)
                } else {
                    checkTombstone(id, of: client)
                }
            }
        }
        while let timer = timers.take(until: now.uptime) {
            switch timer {
            case .session(let connection): checkSilence(of: connection)
            case .lease(let handle, let attempt, let due): checkLease(handle, attempt: attempt, due: due)
            case .delayed(let handle):
                guard case .delayed(let until) = jobs[handle]?.state else { continue }
                if until <= now.uptime { enqueue(handle, first: true) }
            case .paused(let worker): offer(worker)
            case .quiet(let lane): dispatch(lane)
            }
        }
    }

    private mutating func checkExpiry(of handle: JobHandle) {
        guard let job = jobs[handle] else { return }
        switch job.state {
        // What brought workers down is for the operator to look at, be it on Monday.
        case .deadLetter: return
        case .inMailbox(let delivery) where delivery.keptUntil <= now.wall: end(handle, .ended(.expired))
        case _ where job.expires <= now.wall: end(handle, .ended(.expired))
        default: return
        }
    }

    /// The one way out of the table, from whatever state: stored, told to client and worker, remembered until it expires.
    ///
    /// - Parameter isTold: false when the client wanted it so.
    mutating func end(_ handle: JobHandle, _ jobEnd: JobEnd, isTold: Bool = true) {
        forgetCheckpoint(of: handle)
        guard let job = jobs[handle] else { return }
        release(handle)
        _ = jobs.remove(handle)
        clients[job.client].jobs[job.key.job] = nil
        clients[job.client].usage.remove(bytes: job.bytes)
        usage.remove(bytes: job.bytes)
        if case .inMailbox = job.state { weighResults(-job.bytes, of: job.client) }
        remember(job, jobEnd)
        count(jobEnd)
        switch jobEnd {
        case .acknowledged: actions.append(.append(.acknowledged(job.key)))
        case .ended(let code): actions.append(.append(.ended(job.key, code: code)))
        }
        if isTold { tell(jobEnd, job.key.job, job.client) }
        switch job.state {
        case .queued: leaveQueue(lane: job.lane, client: job.client, suspect: job.suspect)
        case .leased(let lease):
            let code: WireCode = if case .ended(let code) = jobEnd { code } else { .cancelled }
            cancel(ref(job.key, lease.fence), code, at: lease.worker)
            offer(lease.worker)
        case .inMailbox:
            leaveMailbox(handle, of: job.client)
            deliver(to: job.client)
        case .delayed, .deadLetter: break
        }
        serveHeld()
    }

    mutating func remember(_ job: Job, _ jobEnd: JobEnd) {
        forget(job.key.job, of: job.client)
        clients[job.client].tombstones[job.key.job] = Tombstone(job, jobEnd)
        clients[job.client].usage.tombstones += 1
        usage.tombstones += 1
        // Before it expires the job's own timer is still to come.
        if job.expires <= now.wall {
            wallTimers.add(
                .job(client: job.client, job.key.job), due: job.expires + configuration.limits.tombstoneGrace)
        }
    }

    @discardableResult
    mutating func forget(_ id: JobID, of client: Int) -> Tombstone? {
        guard let tombstone = clients[client].tombstones.removeValue(forKey: id) else { return nil }
        clients[client].usage.tombstones -= 1
        usage.tombstones -= 1
        return tombstone
    }

    private mutating func checkTombstone(_ id: JobID, of client: Int) {
        // A later generation of the job has a later timer of its own.
        guard let tombstone = clients[client].tombstones[id], tombstone.expires <= now.wall else { return }
        let due = tombstone.expires + configuration.limits.tombstoneGrace
        guard due <= now.wall else { return wallTimers.add(.job(client: client, id), due: due) }
        forget(id, of: client)
        actions.append(.append(.forgotten(JobKey(client: clients[client].id, job: id))))
    }

    /// The job crashed alone too often. It stays in the table, with its bytes, for the operator to replay or drop, past its expiry too.
    mutating func bury(_ handle: JobHandle) {
        guard let job = jobs[handle] else { return }
        counters.deadLetters += 1
        _ = jobs.update(handle) { $0.state = .deadLetter }
        actions.append(.append(.ended(job.key, code: .deadLetter)))
        tell(.ended(.deadLetter), job.key.job, job.client)
    }

    private mutating func count(_ jobEnd: JobEnd) {
        switch jobEnd {
        case .acknowledged: counters.acknowledged += 1
        case .ended(.cancelled): counters.cancelled += 1
        case .ended(.expired): counters.expired += 1
        case .ended: counters.endedOtherwise += 1
        }
    }
}

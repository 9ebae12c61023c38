internal import Wire

/// What a broker's life before left behind.
package struct RecoveredJobs: Hashable, Sendable {
    package var queued = 0
    /// A worker had them; it may come back and go on.
    package var leased = 0
    package var inMailbox = 0
    package var dead = 0
    /// Remembered so that nobody takes their ids.
    package var over = 0

    package init() {}
}

extension BrokerCore {
    /// Counted before the first event.
    package var recoveredJobs: RecoveredJobs {
        var count = RecoveredJobs()
        for handle in recovered {
            switch jobs[handle]?.state {
            case .queued: if jobs[handle]?.epoch == 0 { count.queued += 1 } else { count.leased += 1 }
            case .inMailbox: count.inMailbox += 1
            case .deadLetter: count.dead += 1
            case .delayed, .leased, nil: break
            }
        }
        count.over = usage.tombstones
        return count
    }

    /// Adds one entry of the journal to the state. No actions: what it says is stored already.
    mutating func recover(_ entry: JournalEntry) {
        switch entry {
        case .accepted(let key, let envelope, let sealed):
            guard let envelope = try? Envelope(bytes: envelope), envelope.key == key else {
                counters.unreadableEntries += 1
                return
            }
            let client = place(of: key.client)
            // A dead letter that was replayed is accepted again.
            if let handle = clients[client].jobs[key.job] {
                _ = jobs.update(handle) { job in
                    job.state = .queued
                    job.crashes = 0
                }
            } else {
                let former = clients[client].tombstones[key.job]
                forget(key.job, of: client)
                guard let handle = insert(envelope, sealed: sealed, client: client) else { return }
                // As when it was accepted: what is still said of an earlier generation is stale.
                if let former { _ = jobs.update(handle) { $0.attempts = former.attempts + 1 } }
            }
        case .attempted(let key, let attempt, let epoch):
            guard let handle = handle(of: key) else { return }
            _ = jobs.update(handle) { job in
                job.attempts = attempt
                job.epoch = epoch
                job.isHeldAgainst = false
            }
        case .suspected(let key, let crashes):
            guard let handle = handle(of: key) else { return }
            _ = jobs.update(handle) { job in
                job.suspect = true
                job.crashes = crashes
                // A journal need not tell which attempt it was: it may have been the newest.
                job.isHeldAgainst = true
            }
        case .finished(let key, let header, let sealed, let keptUntil):
            guard let handle = handle(of: key) else { return }
            guard let header = try? ResultHeader(bytes: header) else {
                counters.unreadableEntries += 1
                return
            }
            keep(handle, header: header, sealed: sealed, until: keptUntil)
        case .acknowledged(let key):
            if let handle = handle(of: key) { close(handle, .acknowledged) }
        case .ended(let key, .deadLetter):
            if let handle = handle(of: key) { _ = jobs.update(handle) { $0.state = .deadLetter } }
        case .ended(let key, let code):
            if let handle = handle(of: key) { close(handle, .ended(code)) }
        case .forgotten(let key):
            if let client = clientPlaces[key.client] { forget(key.job, of: client) }
        }
    }

    private func handle(of key: JobKey) -> JobHandle? {
        clientPlaces[key.client].flatMap { clients[$0].jobs[key.job] }
    }

    private mutating func close(_ handle: JobHandle, _ jobEnd: JobEnd) {
        guard let job = jobs.remove(handle) else { return }
        clients[job.client].jobs[job.key.job] = nil
        clients[job.client].usage.remove(bytes: job.bytes)
        usage.remove(bytes: job.bytes)
        if case .inMailbox = job.state { weighResults(-job.bytes, of: job.client) }
        leaveMailbox(handle, of: job.client)
        remember(job, jobEnd)
    }

    /// All entries were read. What waits is queued at the first event, which brings the first look at the clocks.
    mutating func settleRecovered() { recovered = jobs.handles }

    /// Jobs that were leased before the restart wait for their workers to come back; the others are queued at once.
    mutating func startTimers() {
        guard !recovered.isEmpty else { return }
        let handles = recovered
        recovered = []
        for handle in handles {
            guard let job = jobs[handle] else { continue }
            switch job.state {
            case .queued where job.epoch == 0: enqueue(handle)
            case .queued:
                let until = now.uptime + configuration.readoption
                _ = jobs.update(handle) { $0.state = .delayed(until: until) }
                timers.add(.delayed(handle), due: until)
            case .inMailbox, .delayed, .leased, .deadLetter: break
            }
        }
    }
}

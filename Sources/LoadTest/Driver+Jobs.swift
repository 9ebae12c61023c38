internal import DequeModule
internal import Exchange
internal import Fabric
internal import HeapModule
internal import Sealing
internal import Topology
internal import Wire
internal import Workbench

/// Jobs: made ahead of their time, sent when they are due, judged when their result is here.
extension Driver {
    /// - Returns: false when there is nothing to seal now.
    func sealNext() throws -> Bool {
        let due = timetable.next
        guard sealed.count < Self.mostSealed, due != .max, due - Self.ahead <= Moment.now().uptime else { return false }
        if let entry = timetable.take(before: end, using: &random) {
            sealed.append(try make(entry.tenant, entry.client, due: entry.due))
        }
        return true
    }

    func make(_ tenant: Int, _ place: Int, due: Int64) throws -> SyntheticJob {
        try maker.make(
            settings.plan.tenants[tenant], at: tenant, client: place, by: clients[place].sealer, due: due)
    }

    /// Sends what is due, and seals a little of what should have been sealed by now: a loop that is asked for too much still reads.
    func keepTime() throws {
        try sendWhatIsDue()
        for _ in 0..<2 where timetable.next <= Moment.now().uptime {
            guard try sealNext() else { return }
            try sendWhatIsDue()
        }
    }

    private func sendWhatIsDue() throws {
        var now = Moment.now().uptime
        while let job = sealed.first, job.due <= now {
            sealed.removeFirst()
            guard job.due < end else { continue }
            try send(job)
            now = Moment.now().uptime
        }
    }

    func send(_ job: SyntheticJob) throws {
        guard jobs.count < settings.mostUnderWay, kept < settings.mostKept else {
            return holdBack(job.tenant, job.client, due: job.due)
        }
        log?.sends(job, client: clients[job.client].number)
        try submit(job)
    }

    /// A job that was due and is not sent: too much is under way here, or the test is over.
    func holdBack(_ tenant: Int, _ client: Int, due: Int64) {
        let wait = wait(since: due)
        board.count { tally in
            tally.tenants[tenant].counts.offered += 1
            tally.tenants[tenant].counts.held += 1
            tally.tenants[tenant].endToEnd.miss(after: wait)
            tally.accept.miss(after: wait)
            tally.lag.miss(after: wait)
        }
        think(client)
    }

    /// What a job counts with that is given up now: if only the quick ones counted, a system would look the better the less it does.
    func wait(since due: Int64) -> Int64 {
        max(settings.plan.timeout.nanoseconds, Moment.now().uptime - due)
    }

    func submit(_ job: SyntheticJob) throws {
        var job = job
        let id = job.envelope.job, place = job.client
        let actions = clients[place].core.handle(.submit(job.envelope, sealed: job.sealed), at: .now())
        let size = job.sealed.count + job.envelope.bytes.count
        job.kept = size
        kept += size
        job.sealed = []
        jobs[id] = job
        timeouts.append((job.due + settings.plan.timeout.nanoseconds, id))
        try carryOut(actions, place)
        let now = Moment.now().uptime
        board.count { tally in
            tally.tenants[job.tenant].counts.offered += 1
            tally.tenants[job.tenant].counts.sent += 1
            tally.lag.record(now - job.due)
            tally.bytesSent += size
        }
        // Sending may have taken in the news of a message.
        try read(place)
    }

    /// Opens the oldest result and holds it against what must come; acknowledged is either way what a client would have surfaced.
    func judgeNext() throws {
        if let stray = strays.popFirst() {
            try carryOut(clients[stray.client].core.handle(.acknowledge(stray.job), at: .now()), stray.client)
        }
        guard let (id, bytes, sealed, at) = results.popFirst(), let job = jobs[id] else { return }
        do {
            let header = try ResultHeader(bytes: bytes)
            let times = try maker.judge(sealed, header: header, of: job, isStub: settings.isStub)
            // A worker may say anything.
            let served = times.map { min(Int64(clamping: $0.served), 3_600_000_000) * 1_000 }
            log?.surfaces(id, isRight: true)
            clients[job.client].done += 1
            board.count { tally in
                if job.hasTimedOut {
                    tally.tenants[job.tenant].counts.late += 1
                } else {
                    tally.tenants[job.tenant].counts.done += 1
                    tally.lastDone = max(tally.lastDone, at)
                }
                tally.tenants[job.tenant].endToEnd.record(at - job.due)
                if let served { tally.service.record(served) }
                // Where ACCEPTED came later, or went down with a connection, it is all the time.
                tally.queue.record(at - (job.accepted ?? job.due) - (served ?? 0))
                if header.fence.attempt > 1 { tally.redelivered += 1 }
                tally.bytesReceived += sealed.count + bytes.count
            }
        } catch {
            log?.surfaces(id, isRight: false)
            board.count { $0.firstWrong = $0.firstWrong ?? "\(error)" }
            fail(id) { $0.wrong += 1 }
        }
        finish(id)
        try carryOut(clients[job.client].core.handle(.acknowledge(id), at: .now()), job.client)
        try read(job.client)
    }

    func timeOut(_ id: JobID) {
        guard let job = jobs[id], !job.hasResult, !job.hasTimedOut else { return }
        jobs[id]?.hasTimedOut = true
        board.count { $0.tenants[job.tenant].counts.timeouts += 1 }
    }

    /// The job is over without a right result.
    func fail(_ id: JobID, _ change: (inout Tally.Counts) -> Void) {
        guard let job = jobs[id] else { return }
        let wait = wait(since: job.due)
        board.count { tally in
            change(&tally.tenants[job.tenant].counts)
            tally.tenants[job.tenant].endToEnd.miss(after: wait)
            if job.accepted == nil, !job.hasResult { tally.accept.miss(after: wait) }
        }
        finish(id)
    }

    /// The job is over.
    private func finish(_ id: JobID) {
        guard let job = jobs.removeValue(forKey: id) else { return }
        kept -= job.kept
        think(job.client)
    }

    /// A client that thinks thinks of its next job.
    private func think(_ place: Int) {
        guard let think = settings.plan.tenants[clients[place].tenant].think else { return }
        let pause = Int64(Double(think.nanoseconds) * random.exponential())
        alarms.insert(Alarm(at: Moment.now().uptime + pause, client: place, kind: .think))
    }
}

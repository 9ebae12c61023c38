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
            board.count { $0.tenants[job.tenant].counts.offered += 1 }
            return
        }
        log?.sends(job, client: clients[job.client].number)
        try submit(job)
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
        let took = at - job.due
        do {
            let header = try ResultHeader(bytes: bytes)
            let times = try maker.judge(sealed, header: header, of: job, isStub: settings.isStub)
            log?.surfaces(id, isRight: true)
            clients[job.client].done += 1
            board.count { tally in
                if job.hasTimedOut {
                    tally.tenants[job.tenant].counts.late += 1
                } else {
                    tally.tenants[job.tenant].counts.done += 1
                }
                tally.tenants[job.tenant].endToEnd.record(took)
                if let times { tally.service.record(Int64(clamping: times.served) * 1_000) }
                if let accepted = job.accepted {
                    tally.queue.record(at - accepted - Int64(clamping: times?.served ?? 0) * 1_000)
                }
                if header.fence.attempt > 1 { tally.redelivered += 1 }
                tally.bytesReceived += sealed.count + bytes.count
            }
        } catch {
            log?.surfaces(id, isRight: false)
            board.count { tally in
                tally.tenants[job.tenant].counts.wrong += 1
                tally.firstWrong = tally.firstWrong ?? "\(error)"
            }
        }
        finish(id) { _ in }
        try carryOut(clients[job.client].core.handle(.acknowledge(id), at: .now()), job.client)
        try read(job.client)
    }

    /// The job is over; a client that thinks thinks of the next.
    func finish(_ id: JobID, _ change: @Sendable (inout Tally.Counts) -> Void) {
        guard let job = jobs.removeValue(forKey: id) else { return }
        kept -= job.kept
        board.count { change(&$0.tenants[job.tenant].counts) }
        guard let think = settings.plan.tenants[job.tenant].think else { return }
        let pause = Int64(Double(think.nanoseconds) * random.exponential())
        alarms.insert(Alarm(at: Moment.now().uptime + pause, client: job.client, kind: .think))
    }
}

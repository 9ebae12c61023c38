package import Wire

internal import struct Foundation.Data

/// Why a lease ended without a result.
enum LeaseLoss {
    /// No sign of progress, no sign of life, or the worker came back without it: the job may have brought it down.
    case crashed
    /// The worker gave it back.
    case handedBack
    /// The worker gave it back since a pass with it failed: one of those that shared the pass is at fault.
    case failed
    /// The worker gave it back because it goes, and left a checkpoint if there was something to keep: another goes on at once.
    case drained
}

extension BrokerCore {
    mutating func lease(_ handle: JobHandle, to worker: Int, alone: Bool) {
        guard let job = jobs[handle] else { return }
        let attempt = job.attempts + 1
        let fence = Fence(broker: broker, bootEpoch: bootEpoch, attempt: attempt)
        counters.leased += 1
        if job.checkpoint != nil { counters.resumed += 1 }
        let kept = UInt64(job.checkpoint?.header.step ?? 0)
        // As a worker said, so no more than can be added up.
        if job.stepsDone > kept { counters.stepsRedone += Int(min(job.stepsDone - kept, 1 << 32)) }
        let epoch = bootEpoch
        actions.append(.append(.attempted(job.key, attempt: attempt, epoch: epoch)))
        _ = jobs.update(handle) { job in
            job.attempts = attempt
            job.epoch = epoch
            job.isHeldAgainst = false
            // What the last attempt did beyond its checkpoint is to be done again: it counts as progress.
            job.stepsDone = kept
        }
        let charged = queues[lanes[job.lane].key.role]?.charge(
            job.client, ceiling: job.cost, most: job.highestCost, at: now.uptime)
        hold(handle, fence, by: worker, alone: alone, hasLeft: false, charged: charged ?? 0)
        var message = WireJob()
        message.job = ref(job.key, fence)
        message.leaseMs = UInt64(configuration.lease / .millisecond)
        message.alone = alone
        message.memoryFailures = job.memoryFailures
        if let checkpoint = job.checkpoint { message.checkpoint = checkpoint.header.message }
        send(
            .job(message), [job.envelope, job.sealed] + (job.checkpoint.map { [$0.bytes] } ?? []),
            to: workers[worker].session)
    }

    /// The JOB leaves: its lease begins. Until then it may have waited for the disk, for however long.
    package mutating func left(_ ref: WireJobRef, over connection: ConnectionID, at moment: Moment) {
        guard let (handle, fence) = find(ref), case .leased(let lease) = jobs[handle]?.state, lease.fence == fence,
            !lease.hasLeft, workers[lease.worker].session == connection
        else { return }
        let deadline = moment.uptime + configuration.lease
        _ = jobs.update(handle) { job in
            guard case .leased(var lease) = job.state else { return }
            lease.hasLeft = true
            lease.began = moment.uptime
            lease.deadline = deadline
            job.state = .leased(lease)
        }
    }

    /// A worker that came back goes on with what it has.
    mutating func adopt(_ handle: JobHandle, _ fence: Fence, by worker: Int, alone: Bool) {
        guard let job = jobs[handle] else { return }
        counters.readopted += 1
        let wasQueued = if case .queued = job.state { true } else { false }
        hold(handle, fence, by: worker, alone: alone, hasLeft: true, charged: 0)
        if wasQueued { leaveQueue(lane: job.lane, client: job.client, suspect: job.suspect) }
    }

    private mutating func hold(
        _ handle: JobHandle, _ fence: Fence, by worker: Int, alone: Bool, hasLeft: Bool, charged: UInt64
    ) {
        guard let job = jobs[handle] else { return }
        let now = now.uptime, deadline = now + configuration.lease
        let expected = expected(of: job.client, lanes[job.lane].key.role)
        _ = jobs.update(handle) { job in
            job.state = .leased(
                Lease(
                    worker: worker, fence: fence, began: now, hasLeft: hasLeft, deadline: deadline, timer: deadline,
                    alone: alone, charged: charged, expected: expected))
        }
        clients[job.client].usage.expected += expected
        usage.expected += expected
        workers[worker].leases.insert(handle)
        if alone { workers[worker].alone = true }
        setTimer(of: handle, due: deadline)
    }

    /// What becomes of a lease's charge.
    enum Charge {
        case stands
        /// The worker says that it did nothing, or what it did is not lost.
        case isRefunded
        /// In microseconds of worker time.
        case isMeasured(UInt64)
        /// Nobody measured it, but the worker had nothing else.
        case isTimeTaken
    }

    /// The lease, if there is one, is over: the worker's slot and the room for the result are free, and the charge is put right.
    mutating func release(_ handle: JobHandle, _ charge: Charge = .stands) {
        guard let job = jobs[handle], case .leased(let lease) = job.state else { return }
        workers[lease.worker].leases.remove(handle)
        let taken = now.uptime - lease.began
        if lease.alone {
            workers[lease.worker].alone = false
            lanes[job.lane].quietUntil = now.uptime + min(taken, Self.longestQuiet)
            timers.add(.quiet(lane: job.lane), due: lanes[job.lane].quietUntil)
        }
        clients[job.client].usage.expected -= lease.expected
        usage.expected -= lease.expected
        let role = lanes[job.lane].key.role
        switch charge {
        case .stands: break
        case .isRefunded:
            queues[role]?.correct(job.client, charged: lease.charged, actual: 0, ceiling: nil, at: now.uptime)
        case .isMeasured(let cost):
            queues[role]?.correct(
                job.client, charged: lease.charged, actual: min(cost, configuration.maximumCost), ceiling: job.cost,
                at: now.uptime)
        case .isTimeTaken:
            queues[role]?.correct(
                job.client, charged: lease.charged,
                actual: UInt64(clamping: min(taken / 1_000, Int64(clamping: configuration.maximumCost))), ceiling: nil,
                at: now.uptime)
        }
    }

    private static let longestQuiet = 60 * Int64.second

    mutating func prolong(_ handle: JobHandle) {
        let deadline = now.uptime + configuration.lease
        _ = jobs.update(handle) { job in
            guard case .leased(var lease) = job.state else { return }
            lease.deadline = deadline
            job.state = .leased(lease)
        }
    }

    /// A sign of progress of one job; the same figure again is none.
    mutating func progress(_ progress: WireJobProgress, of worker: Int) {
        guard let (handle, fence) = find(progress.job), lease(of: handle, worker, fence) != nil, let job = jobs[handle]
        else {
            return
        }
        _ = jobs.update(handle) { job in
            job.stepsDone = max(job.stepsDone, progress.stepsDone)
            job.stepsTotal = progress.stepsTotal
        }
        if progress.stepsDone > job.stepsDone { prolong(handle) }
    }

    /// A sign of progress of the engine; the same figure again is none.
    mutating func progress(of worker: Int, iterations: UInt64) {
        if iterations != workers[worker].iterations { workers[worker].progress = now.uptime }
        workers[worker].iterations = iterations
    }

    private mutating func setTimer(of handle: JobHandle, due: Int64) {
        let attempt = jobs.update(handle) { job -> UInt32? in
            guard case .leased(var lease) = job.state else { return nil }
            lease.timer = due
            job.state = .leased(lease)
            return lease.fence.attempt
        }
        if let attempt = attempt ?? nil { timers.add(.lease(handle, attempt: attempt, due: due), due: due) }
    }

    /// The lease's timer rang: it is over, or was put off since.
    mutating func checkLease(_ handle: JobHandle, attempt: UInt32, due rung: Int64) {
        guard case .leased(let lease) = jobs[handle]?.state, lease.fence.attempt == attempt, lease.timer == rung else {
            return
        }
        var due =
            lease.hasLeft
            ? max(lease.deadline, workers[lease.worker].progress + configuration.lease)
            : now.uptime + configuration.lease
        if let left = workers[lease.worker].leftAt { due = min(due, left + silence) }
        guard due <= now.uptime else { return setTimer(of: handle, due: due) }
        let worker = lease.worker
        if let job = jobs[handle] { cancel(ref(job.key, lease.fence), .expired, at: worker) }
        lose(handle, .crashed)
        offer(worker)
    }

    /// The lease ends without a result: the job waits a little and is queued again, or is given up.
    ///
    /// - Parameter words: of the worker, for the operator.
    mutating func lose(_ handle: JobHandle, _ loss: LeaseLoss, words: String? = nil) {
        guard let job = jobs[handle], case .leased(let lease) = job.state else { return }
        // What no worker has seen is to blame for nothing.
        let loss = lease.hasLeft ? loss : .handedBack
        let report = JobLoss(
            worker: workers[lease.worker].id, at: now.wall,
            reason: words ?? (loss == .crashed ? "the worker was lost, or showed no progress" : "handed back"))
        _ = jobs.update(handle) { $0.lastLoss = report }
        let isSuspected = loss == .crashed || loss == .failed
        // Of those that shared a worker nobody knows which brought it down.
        release(handle, isSuspected && lease.alone ? .isTimeTaken : .isRefunded)
        if loss == .crashed { counters.leasesLost += 1 }
        if isSuspected {
            // It may be the checkpoint's fault.
            if lease.alone { forgetCheckpoint(of: handle) }
            suspect(handle, ranAlone: lease.alone)
        }
        if isSuspected, jobs[handle]?.crashes ?? 0 >= configuration.crashesAllowed {
            bury(handle)
        } else if loss == .drained {
            enqueue(handle, first: true)
        } else {
            delay(handle)
        }
        serveHeld()
    }

    /// The job runs alone from now on, over restarts too.
    mutating func suspect(_ handle: JobHandle, ranAlone: Bool = false) {
        guard let job = jobs[handle] else { return }
        let counts = ranAlone && !job.isHeldAgainst
        _ = jobs.update(handle) { $0.isHeldAgainst = true }
        guard !job.suspect || counts else { return }
        let crashes = job.crashes + (counts ? 1 : 0)
        _ = jobs.update(handle) { job in
            job.suspect = true
            job.crashes = crashes
        }
        actions.append(.append(.suspected(job.key, crashes: crashes)))
    }

    private mutating func delay(_ handle: JobHandle) {
        guard let job = jobs[handle] else { return }
        let pause = min(configuration.backoff << Int64(min(job.returns, 16)), configuration.longestBackoff)
        let until = now.uptime + pause / 2 + Int64.random(in: 0...max(pause / 2, 1), using: &random)
        _ = jobs.update(handle) { job in
            job.returns += 1
            job.state = .delayed(until: until)
        }
        timers.add(.delayed(handle), due: until)
    }

    // MARK: a worker goes

    /// The session is over. The leases run on for as long as a peer may be silent: the worker may come back and name them.
    mutating func leave(_ worker: Int) {
        withdraw(worker)
        workers[worker].session = nil
        workers[worker].ready = false
        workers[worker].leftAt = now.uptime
        for handle in held(by: worker) {
            setTimer(of: handle, due: now.uptime + silence)
        }
    }

    /// The worker was silent for too long: it crashed, or might as well have.
    mutating func abandon(_ worker: Int) {
        for handle in held(by: worker) { lose(handle, .crashed) }
    }

    /// The worker says goodbye: what it still has is handed back.
    mutating func retire(_ worker: Int, on connection: ConnectionID) {
        withdraw(worker)
        for handle in held(by: worker) { lose(handle, .handedBack) }
        part(from: connection)
    }

    /// In an order that does not hang on hash seeds, so that a simulated history replays.
    func held(by worker: Int) -> [JobHandle] { workers[worker].leases.sorted { $0.index < $1.index } }

    func ref(_ key: JobKey, _ fence: Fence) -> WireJobRef {
        var ref = WireJobRef()
        ref.clientID = Data(key.client.bytes)
        ref.jobID = Data(key.job.bytes)
        ref.fence = fence.message
        return ref
    }
}

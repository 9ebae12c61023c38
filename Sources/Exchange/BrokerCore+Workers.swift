internal import Wire

internal import struct Foundation.Data

extension BrokerCore {
    mutating func receive(_ frames: Frames, fromWorker worker: Int, on connection: ConnectionID) {
        switch frames.control.body {
        case .ready(let ready): offer(ready, worker)
        case .heartbeat(let heartbeat):
            progress(of: worker, iterations: heartbeat.iterations)
            if heartbeat.hasModel { workers[worker].model = heartbeat.model }
            workers[worker].versionsInUse = Array(heartbeat.versionInUse.prefix(Self.versionsPerWorker))
            send(.pong(pong(to: worker)), to: connection)
        case .progress(let progress):
            for job in progress.job.prefix(Int(configuration.slotsPerWorker)) { self.progress(job, of: worker) }
        case .checkpoint(let checkpoint): store(checkpoint, frames.attachments[0], from: worker)
        case .workerResult(let result):
            receive(result, header: frames.attachments[0], sealed: frames.attachments[1], from: worker)
        case .preview: relay(frames, from: worker)
        case .nack(let nack): receive(nack, from: worker)
        case .drain:
            workers[worker].draining = true
            withdraw(worker)
        case .ping: send(.pong(WirePong()), to: connection)
        case .pong: break
        case .bye: retire(worker, on: connection)
        default: dismiss(connection, "a message of this kind is not for workers to send")
        }
    }

    // MARK: READY

    /// The worker's offer. The first of a session also settles which of its earlier leases go on: it names those it holds.
    private mutating func offer(_ ready: WireReady, _ worker: Int) {
        guard let connection = workers[worker].session else { return }
        guard let run = RunID(ready.runID), configuration.runs.contains(run) else {
            return dismiss(connection, "the run that READY names is not served here")
        }
        let roles = Set(ready.role.prefix(WorkerRole.allCases.count + 1).compactMap(WorkerRole.init(rawValue:)))
        guard roles.count == ready.role.count, !roles.isEmpty, roles.isSubset(of: workers[worker].allowed) else {
            return dismiss(connection, "READY names a role that the worker's certificate does not")
        }
        let keys = ready.poolKeyID.prefix(Self.keysPerWorker + 1).compactMap { PoolKeyID($0) }
        guard keys.count == ready.poolKeyID.count, keys.count <= Self.keysPerWorker else {
            return dismiss(connection, "READY names at most \(Self.keysPerWorker) pool keys of 16 bytes")
        }
        // Results that wait to be confirmed are among them.
        guard ready.held.count <= 2 * configuration.slotsPerWorker else {
            return dismiss(connection, "READY names at most \(2 * configuration.slotsPerWorker) jobs that are held")
        }
        withdraw(worker)
        let isFirst = !workers[worker].ready
        workers[worker].ready = true
        workers[worker].draining = false
        workers[worker].roles = roles
        workers[worker].slots = Int(min(ready.slots, configuration.slotsPerWorker))
        if ready.hasModel { workers[worker].model = ready.model }
        if isFirst { readopt(ready.held, by: worker) }
        serve(worker, roles: roles, run: run, keys: keys)
    }

    private static let keysPerWorker = 16
    private static let versionsPerWorker = 16
    /// Characters that are kept of why a worker hands a job back.
    private static let longestWords = 200

    private mutating func readopt(_ held: [WireJobRef], by worker: Int) {
        workers[worker].iterations = 0
        workers[worker].pausedUntil = now.uptime
        var kept: Set<JobHandle> = []
        // A suspect that came through a restart ran alone before it.
        let isOnly = held.count == 1
        for ref in held {
            guard let (handle, fence) = find(ref), let job = jobs[handle] else {
                cancel(ref, .unknownJob, at: worker)
                continue
            }
            switch job.state {
            case .leased(let lease) where lease.worker == worker && lease.fence == fence:
                kept.insert(handle)
                prolong(handle)
            case .queued where isNewest(fence, of: job), .delayed where isNewest(fence, of: job):
                adopt(handle, fence, by: worker, alone: isOnly && job.suspect)
                kept.insert(handle)
            case .inMailbox(let delivery) where delivery.fence == fence:
                break  // its RESULT will come again and be confirmed
            default:
                cancel(ref, .cancelled, at: worker)
            }
        }
        for handle in self.held(by: worker) where !kept.contains(handle) { lose(handle, .crashed) }
    }

    // MARK: what it says of a job

    private mutating func receive(_ result: WireWorkerResult, header bytes: [UInt8], sealed: [UInt8], from worker: Int)
    {
        guard let (handle, fence) = find(result.job), let job = jobs[handle] else {
            return confirm(result.job, stale: true, to: worker)
        }
        if case .inMailbox(let delivery) = job.state {
            return confirm(result.job, stale: delivery.fence != fence, to: worker)
        }
        let isAnothers = if case .leased(let lease) = job.state { lease.worker != worker } else { false }
        guard let header = try? ResultHeader(bytes: bytes), header.key == job.key, header.fence == fence,
            header.worker == workers[worker].id, header.status != .preview, isNewest(fence, of: job), !isAnothers
        else {
            counters.staleResults += 1
            return confirm(result.job, stale: true, to: worker)
        }
        if case .deadLetter = job.state {
            counters.staleResults += 1
            return confirm(result.job, stale: true, to: worker)
        }
        switch room(for: header, sealed, of: handle) {
        case .enough:
            finish(handle, header: header, sealed: sealed, cost: result.cost)
            confirm(result.job, stale: false, to: worker)
            offer(worker)
        case .notNow:
            // Larger than what was kept free for it: it is made again when there is room.
            counters.resultsRefused += 1
            confirm(result.job, stale: true, to: worker)
            lose(handle, .handedBack, words: "there was no room for its result")
            offer(worker)
        case .never:
            confirm(result.job, stale: true, to: worker)
            end(handle, .ended(.tooLarge))
        }
    }

    /// The worker hands a job back. That is held against the job only when a pass with it failed (`internal`), which is to a
    /// pass what a crash is to a worker.
    private mutating func receive(_ nack: WireNack, from worker: Int) {
        guard let (handle, fence) = find(nack.job), let lease = lease(of: handle, worker, fence) else { return }
        counters.handedBack += 1
        let words = String(nack.message.prefix(Self.longestWords))
        let pause = Int64(clamping: min(nack.retryAfterMs, 60_000)) * .millisecond
        switch nack.code {
        case .unknownPoolKey:
            if let lane = jobs[handle]?.lane { leave(lane, worker) }
        case .draining:
            workers[worker].draining = true
            withdraw(worker)
        case .busy, .outOfMemory, .internal:
            workers[worker].pausedUntil = now.uptime + max(pause, configuration.backoff)
            timers.add(.paused(worker: worker), due: workers[worker].pausedUntil)
        default: break
        }
        if nack.code == .outOfMemory {
            if lease.alone {
                _ = jobs.update(handle) { job in
                    job.memoryFailures += 1
                    job.workersWithoutMemory.insert(worker)
                }
            } else {
                // Beside others it says little: the next attempt is alone.
                suspect(handle)
            }
        }
        switch nack.code {
        case .draining: lose(handle, .drained, words: words)
        case .internal: lose(handle, .failed, words: words)
        default: lose(handle, .handedBack, words: words)
        }
        offer(worker)
    }

    /// Previews are worth something only at once: without a session, or when there are too many, they are dropped. They are no
    /// progress: a lease is not put off by them.
    private mutating func relay(_ frames: Frames, from worker: Int) {
        guard case .preview(let preview) = frames.control.body,
            let header = try? ResultHeader(bytes: frames.attachments[0]), header.status == .preview,
            header.worker == workers[worker].id,
            let client = clientPlaces[header.client], let handle = clients[client].jobs[header.job],
            lease(of: handle, worker, header.fence) != nil,
            clients[client].mayPreview(
                frames.attachments[1].count, rate: configuration.previewBytesPerSecond, at: now.uptime)
        else { return }
        var relayed = WirePreview()
        relayed.jobID = Data(header.job.bytes)
        relayed.step = preview.step
        send(.preview(relayed), frames.attachments, to: clients[client].session)
    }

    // MARK: answers

    mutating func cancel(_ ref: WireJobRef, _ code: WireCode, at worker: Int) {
        var cancel = WireCancelJob()
        cancel.job = ref
        cancel.code = code
        send(.cancelJob(cancel), to: workers[worker].session)
    }

    private mutating func confirm(_ ref: WireJobRef, stale: Bool, to worker: Int) {
        var stored = WireResultStored()
        stored.job = ref
        stored.stale = stale
        send(.resultStored(stored), to: workers[worker].session)
    }

    func find(_ ref: WireJobRef) -> (JobHandle, Fence)? {
        guard let client = ClientID(ref.clientID), let id = JobID(ref.jobID), let fence = try? Fence(ref.fence),
            let place = clientPlaces[client], let handle = clients[place].jobs[id]
        else { return nil }
        return (handle, fence)
    }

    /// The lease under which this worker may speak of the job with this fence.
    func lease(of handle: JobHandle, _ worker: Int, _ fence: Fence) -> Lease? {
        guard case .leased(let lease) = jobs[handle]?.state, lease.worker == worker, lease.fence == fence else {
            return nil
        }
        return lease
    }

    /// Whether no later attempt was made.
    func isNewest(_ fence: Fence, of job: Job) -> Bool {
        fence.broker == broker && fence.attempt == job.attempts && fence.bootEpoch == job.epoch && job.epoch > 0
    }
}

package import Wire

/// Single jobs as an operator sees them, and what may be done with dead letters. `collafuse jobs` does the same to the journal of a broker
/// that is stopped.
extension BrokerCore {
    /// Those that are not over, in the order in which their places in the table were taken.
    ///
    /// - Parameters:
    ///   - state: nil: in any.
    ///   - client: nil: everybody's.
    package func jobReports(in state: JobReport.State? = nil, of client: ClientID? = nil) -> [JobReport] {
        jobs.handles.compactMap { handle in
            guard let job = jobs[handle], client == nil || job.key.client == client else { return nil }
            let report = report(of: job)
            return state == nil || report?.state == state ? report : nil
        }
    }

    /// Nil: it is over, or no such job is known here.
    package func jobReport(_ key: JobKey) -> JobReport? {
        clientPlaces[key.client].flatMap { clients[$0].jobs[key.job] }.flatMap { jobs[$0] }.flatMap { report(of: $0) }
    }

    /// Of a job that may be over. Nil: no such job is known here.
    package func standing(of key: JobKey) -> (state: JobReport.State, generation: UInt32)? {
        guard let client = clientPlaces[key.client] else { return nil }
        if let handle = clients[client].jobs[key.job] { return jobs[handle].map { (.init($0.state), $0.generation) } }
        return clients[client].tombstones[key.job].map { (.init($0.end), $0.generation) }
    }

    /// Queues a dead letter again, its crashes forgiven; it still runs alone.
    ///
    /// - Returns: nil when it is no dead letter.
    package mutating func retry(_ key: JobKey, at moment: Moment) -> [BrokerAction]? {
        guard let handle = deadLetter(key), let job = jobs[handle] else { return nil }
        begin(moment)
        guard job.expires > now.wall else {
            end(handle, .ended(.expired))
            return finish()
        }
        _ = jobs.update(handle) { job in
            job.crashes = 0
            job.memoryFailures = 0
            job.workersWithoutMemory = []
        }
        actions.append(.append(.accepted(key, envelope: job.envelope, sealed: job.sealed)))
        enqueue(handle)
        return finish()
    }

    /// Ends a dead letter for good; its client is told that it was cancelled.
    ///
    /// - Returns: nil when it is no dead letter.
    package mutating func drop(_ key: JobKey, at moment: Moment) -> [BrokerAction]? {
        guard let handle = deadLetter(key) else { return nil }
        begin(moment)
        end(handle, .ended(.cancelled))
        return finish()
    }

    private func deadLetter(_ key: JobKey) -> JobHandle? {
        guard let client = clientPlaces[key.client], let handle = clients[client].jobs[key.job],
            case .deadLetter = jobs[handle]?.state
        else { return nil }
        return handle
    }

    private func report(of job: Job) -> JobReport? {
        guard let envelope = try? Envelope(bytes: job.envelope) else { return nil }
        var report = JobReport(envelope, .init(job.state), attempts: job.attempts)
        report.bytes = job.bytes
        report.isSuspect = job.suspect
        report.crashes = job.crashes
        report.stepsDone = job.stepsDone
        report.stepsTotal = job.stepsTotal
        report.lastLoss = job.lastLoss
        if case .leased(let lease) = job.state { report.worker = workers[lease.worker].id }
        return report
    }
}

/// A job as an operator sees it: all but its contents.
package struct JobReport: Hashable, Sendable {
    package enum State: String, Hashable, Sendable, CaseIterable {
        case queued, delayed, leased
        case inMailbox = "in-mailbox"
        case deadLetter = "dead-letter"
        case acknowledged, cancelled, expired
        /// Over otherwise: its result was too large to keep.
        case refused
    }

    package let key: JobKey
    package let kind: WireJobKind
    package let run: RunID
    package let generation: UInt32
    /// Unix time in milliseconds, as the client said.
    package let created: Int64
    /// Unix time in milliseconds.
    package let expires: Int64
    /// In microseconds of worker time; 0: the broker's default.
    package let costCeiling: UInt64
    package let state: State
    package let attempts: UInt32
    /// What it is charged to its client's limit; 0: it is over.
    package var bytes = 0
    /// It shared a worker that crashed, or a pass that failed: it runs alone.
    package var isSuspect = false
    /// While it ran alone.
    package var crashes = 0
    package var stepsDone: UInt64 = 0
    package var stepsTotal: UInt64 = 0
    /// Which has it now.
    package var worker: WorkerID?
    /// How its last attempt ended that brought no result; nil: none did since the broker's start.
    package var lastLoss: JobLoss?

    package init(_ envelope: Envelope, _ state: State, attempts: UInt32) {
        key = envelope.key
        kind = envelope.kind
        run = envelope.run
        generation = envelope.generation
        created = envelope.created
        expires = envelope.expires
        costCeiling = envelope.costCeiling
        self.state = state
        self.attempts = attempts
    }
}

/// An attempt that ended without a result.
package struct JobLoss: Hashable, Sendable {
    package let worker: WorkerID
    /// Unix time in milliseconds.
    package let at: Int64
    /// The worker's words, or the broker's if it had none.
    package let reason: String
}

extension JobReport.State {
    init(_ state: Job.State) {
        switch state {
        case .queued: self = .queued
        case .delayed: self = .delayed
        case .leased: self = .leased
        case .inMailbox: self = .inMailbox
        case .deadLetter: self = .deadLetter
        }
    }

    package init(_ end: JobEnd) {
        switch end {
        case .acknowledged: self = .acknowledged
        case .ended(.cancelled): self = .cancelled
        case .ended(.expired): self = .expired
        case .ended: self = .refused
        }
    }
}

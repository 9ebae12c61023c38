internal import DequeModule
package import Wire

internal import struct Foundation.Data

/// The client's end of the conversation.
///
/// It brings every job that it was given to its end, over however many sessions that takes: it submits, waits, submits again
/// where the broker knows nothing of the job, hands each result over once, and repeats the acknowledgement until it is
/// stored. Cost: O(log n) a message; O(n) at a reconnection.
///
/// A program that was restarted submits its unfinished jobs again, the same bytes; results that it did not expect are handed
/// over too, so it must know by itself which jobs it has surfaced.
package struct ClientCore: LinkMachine {
    package enum Command: Sendable {
        case submit(Envelope, sealed: [UInt8])
        case cancel(JobID)
        /// What became of these jobs? The broker sends results by itself: this is for jobs of which this process knows nothing.
        case fetch([JobID])
        /// The result is surfaced, durably: the broker may forget it.
        case acknowledge(JobID)
        /// The result that was handed over does not count. Nothing is said to the broker: the job is forgotten here, and the
        /// next generation of it, once that is submitted, takes the result's place there.
        case refuse(JobID)
        /// None named: all of this client's jobs.
        case queryStatus([JobID])
        case queryKeys
        case close
    }

    package enum Event: Sendable {
        case welcomed(Welcome)
        case lost(LinkLoss)
        case accepted(JobID)
        /// Not taken. With `retryAfter` (nanoseconds) it is submitted again by itself; without, it is over.
        case rejected(JobID, WireCode, String, retryAfter: Int64?)
        case conflict(JobID, String)
        case result(JobID, header: [UInt8], sealed: [UInt8])
        case preview(JobID, step: UInt32, header: [UInt8], sealed: [UInt8])
        /// Over without a result.
        case ended(JobID, WireCode, String)
        case ackStored(JobID)
        case status(WireStatus)
        case keys([UInt8])
    }

    package struct Welcome: Sendable {
        package let broker: BrokerID
        package let bootEpoch: UInt64
        package let limits: WireLimits
        package let keyBundle: [UInt8]
        /// Unix time in milliseconds.
        package let brokerTime: Int64
    }

    private struct Job: Sendable {
        enum Phase: Sendable {
            /// In the queue for a session, and for credit. → submitted, gone (cancelled)
            case waiting
            /// SUBMIT went in this session. → accepted, pausing, surfaced, gone (rejected, conflict, ended); waiting (session lost)
            case submitted
            /// Rejected for now. → waiting
            case pausing(until: Int64)
            /// The broker has it. → surfaced, gone (ended); asking (session lost)
            case accepted
            /// An earlier session accepted it: the broker is asked whether it still has it. → accepted, waiting, surfaced, gone
            case asking
            /// The result was handed over. → acknowledging, gone (refused)
            case surfaced
            /// RESULT_ACK is to be answered. → gone (ACK_STORED)
            case acknowledging
            /// CANCEL is to be answered. → gone (ENDED, ACK_STORED)
            case cancelling
        }

        let order: UInt64
        var envelope: [UInt8]
        var sealed: [UInt8]
        var phase = Phase.waiting
    }

    private let client: ClientID
    private var session: LinkSession
    private var jobs: [JobID: Job] = [:]
    private var count: UInt64 = 0
    private var queue: Deque<JobID> = []
    private var pauses = Deadlines<JobID>()
    /// SUBMITs without an answer, and how many there may be.
    private var unanswered = 0
    private var credit = 1
    /// Who asked for the STATUS messages that are to come: this machine, or the program.
    private var queries: Deque<Bool> = []
    private var out: [LinkAction<Event>] = []
    private var now: Int64 = 0

    package init(
        client: ClientID, configuration: LinkConfiguration = LinkConfiguration(),
        random: some RandomNumberGenerator & Sendable
    ) {
        self.client = client
        session = LinkSession(side: .client, configuration: configuration, random: random)
    }

    // MARK: LinkMachine

    package mutating func opened(at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            core.forgetSession()
            if let hello = core.session.opened(at: core.now) { core.out.append(.send(hello)) }
        }
    }

    package mutating func receive(_ frames: Frames, at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            switch core.session.receive(frames, at: core.now) {
            case .nothing: break
            case .reply(let frames): core.out.append(.send(frames))
            case .welcome(let welcome): core.welcome(welcome)
            case .lost(let loss): core.lose(loss)
            case .message(let body, let attachments): core.receive(body, attachments)
            }
        }
    }

    package mutating func receivedGarbage(_ error: WireError, at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            if let loss = core.session.receivedGarbage(error, at: core.now) { core.lose(loss) }
        }
    }

    package mutating func tick(at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            switch core.session.tick(at: core.now) {
            case .nothing: break
            case .lost(let loss): core.lose(loss)
            case .reconnect: core.out.append(.reconnect)
            case .beat: core.send(.ping(WirePing()))
            }
        }
    }

    package var nextDeadline: Int64? {
        guard let pause = pauses.next else { return session.nextDeadline }
        return session.nextDeadline.map { min($0, pause) } ?? pause
    }

    package mutating func handle(_ command: Command, at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            switch command {
            case .submit(let envelope, let sealed): core.submit(envelope, sealed)
            case .cancel(let id): core.cancel(id)
            case .fetch(let ids):
                var fetch = WireFetch()
                fetch.jobID = ids.map { Data($0.bytes) }
                core.send(.fetch(fetch))
            case .acknowledge(let id): core.acknowledge(id)
            case .refuse(let id):
                if case .surfaced = core.jobs[id]?.phase { _ = core.leave(id) }
            case .queryStatus(let ids): core.query(ids, own: false)
            case .queryKeys: core.send(.keys(WireKeys()))
            case .close:
                if let bye = core.session.close("done", at: core.now) { core.out.append(.send(bye)) }
                core.out.append(.close)
            }
        }
    }

    private mutating func round(_ moment: Moment, _ body: (inout ClientCore) -> Void) -> [LinkAction<Event>] {
        now = moment.uptime
        while let id = pauses.take(until: now) {
            guard case .pausing(let until) = jobs[id]?.phase, until <= now else { continue }
            enqueue(id)
        }
        body(&self)
        sendWaiting()
        defer { out = [] }
        return out
    }

    // MARK: the session

    private mutating func welcome(_ welcome: WireWelcome) {
        guard let broker = BrokerID(welcome.brokerID) else { return }
        credit = max(Int(welcome.credit), 1)
        out.append(
            .event(
                .welcomed(
                    Welcome(
                        broker: broker, bootEpoch: welcome.bootEpoch, limits: welcome.limits,
                        keyBundle: Array(welcome.keyBundle), brokerTime: welcome.brokerTimeMs))))
        resume()
    }

    /// Takes every job up where the last session left it. Asking about an accepted job saves its payload.
    private mutating func resume() {
        var asked: [JobID] = []
        for (id, job) in jobs.sorted(by: { $0.value.order < $1.value.order }) {
            switch job.phase {
            case .waiting, .surfaced, .pausing: break
            case .submitted: enqueue(id)
            case .accepted, .asking:
                jobs[id]?.phase = .asking
                asked.append(id)
            case .acknowledging: sendAck(id)
            case .cancelling: sendCancel(id)
            }
        }
        for start in stride(from: 0, to: asked.count, by: Self.idsPerQuery) {
            query(Array(asked[start..<min(start + Self.idsPerQuery, asked.count)]), own: true)
        }
    }

    private static let idsPerQuery = 4096

    private mutating func lose(_ loss: LinkLoss) {
        forgetSession()
        out.append(.event(.lost(loss)))
    }

    private mutating func forgetSession() {
        unanswered = 0
        queries = []
    }

    private mutating func send(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = []) {
        if let frames = session.number(body, attachments, at: now) { out.append(.send(frames)) }
    }

    // MARK: commands

    private mutating func submit(_ envelope: Envelope, _ sealed: [UInt8]) {
        if let known = jobs[envelope.job] {
            switch known.phase {
            case .surfaced, .acknowledging, .cancelling: return
            case .waiting, .submitted, .pausing, .accepted, .asking:
                guard known.envelope != envelope.bytes || known.sealed != sealed else { return }
                return out.append(.event(.conflict(envelope.job, "another job of this id is under way")))
            }
        }
        count += 1
        jobs[envelope.job] = Job(order: count, envelope: envelope.bytes, sealed: sealed)
        queue.append(envelope.job)
    }

    private mutating func enqueue(_ id: JobID) {
        jobs[id]?.phase = .waiting
        queue.append(id)
    }

    /// SUBMITs for as long as there is credit.
    private mutating func sendWaiting() {
        guard session.isOpen else { return }
        while unanswered < credit, let id = queue.popFirst() {
            guard let job = jobs[id], case .waiting = job.phase else { continue }
            jobs[id]?.phase = .submitted
            unanswered += 1
            send(.submit(WireSubmit()), [job.envelope, job.sealed])
        }
    }

    private mutating func cancel(_ id: JobID) {
        switch jobs[id]?.phase {
        case .waiting:
            // It may have been submitted in an earlier session, so the broker is told all the same.
            jobs[id]?.phase = .cancelling
        case .surfaced, .acknowledging, .cancelling: return
        case .submitted:
            answered()
            jobs[id]?.phase = .cancelling
        case .pausing, .accepted, .asking: jobs[id]?.phase = .cancelling
        case nil:
            count += 1
            jobs[id] = Job(order: count, envelope: [], sealed: [], phase: .cancelling)
        }
        jobs[id]?.sealed = []
        sendCancel(id)
    }

    /// Counts only within the session: what was submitted in the last one waits for the next to be submitted again.
    private mutating func answered() {
        if session.isOpen { unanswered -= 1 }
    }

    private mutating func sendCancel(_ id: JobID) {
        var cancel = WireCancel()
        cancel.jobID = Data(id.bytes)
        send(.cancel(cancel))
    }

    private mutating func acknowledge(_ id: JobID) {
        if jobs[id] == nil {
            count += 1
            jobs[id] = Job(order: count, envelope: [], sealed: [])
        }
        if case .submitted = jobs[id]?.phase { answered() }
        jobs[id]?.phase = .acknowledging
        jobs[id]?.sealed = []
        sendAck(id)
    }

    private mutating func sendAck(_ id: JobID) {
        var ack = WireResultAck()
        ack.jobID = Data(id.bytes)
        send(.resultAck(ack))
    }

    private mutating func query(_ ids: [JobID], own: Bool) {
        guard session.isOpen else { return }
        var query = WireStatusQuery()
        query.jobID = ids.map { Data($0.bytes) }
        queries.append(own)
        send(.statusQuery(query))
    }

    // MARK: what the broker says

    private mutating func receive(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]]) {
        switch body {
        case .accepted(let accepted):
            guard let id = JobID(accepted.jobID), case .submitted = jobs[id]?.phase else { return }
            answered()
            jobs[id]?.phase = .accepted
            out.append(.event(.accepted(id)))
        case .rejected(let rejected): receive(rejected)
        case .conflict(let conflict):
            guard let id = JobID(conflict.jobID), leave(id) else { return }
            out.append(.event(.conflict(id, conflict.message)))
        case .result: receiveResult(header: attachments[0], sealed: attachments[1])
        case .preview(let preview):
            guard let header = try? ResultHeader(bytes: attachments[0]), header.client == client,
                header.status == .preview, jobs[header.job] != nil
            else { return }
            out.append(
                .event(.preview(header.job, step: preview.step, header: attachments[0], sealed: attachments[1])))
        case .ended(let ended):
            guard let id = JobID(ended.jobID) else { return }
            _ = leave(id)
            out.append(.event(.ended(id, ended.code, ended.message)))
        case .ackStored(let stored):
            guard let id = JobID(stored.jobID) else { return }
            _ = leave(id)
            out.append(.event(.ackStored(id)))
        case .status(let status):
            if queries.popFirst() == true { settle(status) } else { out.append(.event(.status(status))) }
        case .keys(let keys): out.append(.event(.keys(Array(keys.keyBundle))))
        case .credit(let credit): self.credit = max(Int(credit.credit), 1)
        default: break  // A kind that only a newer broker sends: it cannot be meant for what this client asked.
        }
    }

    private mutating func receive(_ rejected: WireRejected) {
        guard let id = JobID(rejected.jobID), case .submitted = jobs[id]?.phase else { return }
        guard rejected.retryAfterMs > 0 else {
            _ = leave(id)
            return out.append(.event(.rejected(id, rejected.code, rejected.message, retryAfter: nil)))
        }
        answered()
        let wait = Int64(min(rejected.retryAfterMs, 3_600_000)) * .millisecond
        jobs[id]?.phase = .pausing(until: now + wait)
        pauses.add(id, due: now + wait)
        out.append(.event(.rejected(id, rejected.code, rejected.message, retryAfter: wait)))
    }

    /// Handed over once in this process; what came again crossed an acknowledgement.
    private mutating func receiveResult(header bytes: [UInt8], sealed: [UInt8]) {
        guard let header = try? ResultHeader(bytes: bytes), header.client == client, header.status != .preview else {
            return
        }
        switch jobs[header.job]?.phase {
        case .surfaced, .acknowledging, .cancelling: return
        case .submitted: answered()
        case .waiting, .pausing, .accepted, .asking: break
        case nil:
            count += 1
            jobs[header.job] = Job(order: count, envelope: [], sealed: [])
        }
        jobs[header.job]?.phase = .surfaced
        jobs[header.job]?.sealed = []
        out.append(.event(.result(header.job, header: bytes, sealed: sealed)))
    }

    /// The answer to `resume`'s question.
    private mutating func settle(_ status: WireStatus) {
        for line in status.job {
            guard let id = JobID(line.jobID), case .asking = jobs[id]?.phase else { continue }
            switch line.state {
            case .queued, .leased, .inMailbox, .awaitingReseal: jobs[id]?.phase = .accepted
            case .acknowledged:
                _ = leave(id)
                out.append(.event(.ackStored(id)))
            case .deadLetter: end(id, .deadLetter)
            case .cancelled: end(id, .cancelled)
            case .expired: end(id, .expired)
            case .unspecified, .UNRECOGNIZED: enqueue(id)
            }
        }
    }

    private mutating func end(_ id: JobID, _ code: WireCode) {
        _ = leave(id)
        out.append(.event(.ended(id, code, "over without a result")))
    }

    private mutating func leave(_ id: JobID) -> Bool {
        guard let job = jobs.removeValue(forKey: id) else { return false }
        if case .submitted = job.phase { answered() }
        return true
    }
}

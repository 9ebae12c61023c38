internal import DequeModule
package import Wire

/// The client's end of the conversation.
///
/// It brings every job that it was given to its end, over however many sessions that takes: it submits, waits, submits again
/// where the broker knows nothing of the job, hands each result over once, and repeats the acknowledgement until it is
/// stored. Cost: O(log n) a message; O(n) at a reconnection.
///
/// A program that was restarted submits its unfinished jobs again, the same bytes; results that it did not expect are handed
/// over too, so it must know by itself which jobs it has surfaced.
///
/// - `ClientCore+Session`: what a session that begins or ends does to the jobs
/// - `ClientCore+Commands`: what the program wants of a job
/// - `ClientCore+Answers`: what the broker says
/// - `ClientCore+Brokers`: more than one broker: when to move, and what is owed to those that it moved away from
package struct ClientCore: LinkMachine {
    package enum Command: Sendable {
        case submit(Envelope, sealed: [UInt8])
        case cancel(JobID)
        /// The result is surfaced, durably: the broker may forget it.
        case acknowledge(JobID)
        /// The result that was handed over does not count. Nothing is said to the broker: the job is forgotten here, and the
        /// next generation of it, once that is submitted, takes the result's place there.
        case refuse(JobID)
        /// None named: all of this client's jobs.
        case queryStatus([JobID])
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

    struct Job: Sendable {
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
        var generation: UInt32 = 0
        var envelope: [UInt8]
        var sealed: [UInt8]
        var phase = Phase.waiting
        /// Brokers that may have it.
        var places: [BrokerID] = []

        /// No result of it was handed over, and nobody called it off.
        var isOpen: Bool {
            switch phase {
            case .surfaced, .acknowledging, .cancelling: false
            case .waiting, .submitted, .pausing, .accepted, .asking: true
            }
        }
    }

    let client: ClientID
    let configuration: LinkConfiguration
    var session: LinkSession
    /// Of the session, or of the last one.
    var broker: BrokerID?
    var jobs: [JobID: Job] = [:]
    var count: UInt64 = 0
    var queue: Deque<JobID> = []
    var pauses = Deadlines<JobID>()
    /// SUBMITs without an answer, and how many there may be.
    var unanswered = 0
    var credit = 1
    /// Who asked for the STATUS messages that are to come: this machine, or the program.
    var queries: Deque<Bool> = []
    /// Jobs that are over for this client, and of which another broker may hold a copy.
    var owed: [BrokerID: [JobID: Debt]] = [:]
    /// The broker takes no more jobs: once none is here, the next broker is tried.
    var isLeaving = false
    /// Uptime of the next visit to a broker that something is owed; nil: none is planned.
    var visitDue: Int64?
    var visits: Int64 = 0
    var out: [LinkAction<Event>] = []
    var now: Int64 = 0

    package init(
        client: ClientID, configuration: LinkConfiguration = LinkConfiguration(),
        random: some RandomNumberGenerator & Sendable
    ) {
        self.client = client
        self.configuration = configuration
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
            case .move: core.out.append(.move)
            case .beat: core.send(.ping(WirePing()))
            }
        }
    }

    package var nextDeadline: Int64? {
        [session.nextDeadline, pauses.next, visitDue].compactMap { $0 }.min()
    }

    package mutating func handle(_ command: Command, at moment: Moment) -> [LinkAction<Event>] {
        round(moment) { core in
            switch command {
            case .submit(let envelope, let sealed): core.submit(envelope, sealed)
            case .cancel(let id): core.cancel(id)
            case .acknowledge(let id): core.acknowledge(id)
            case .refuse(let id):
                if case .surfaced = core.jobs[id]?.phase { _ = core.leave(id) }
            case .queryStatus(let ids): core.query(ids, own: false)
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
        moveIfDue()
        defer { out = [] }
        return out
    }
}

internal import DequeModule
internal import Exchange
internal import Fabric
internal import Foundation
internal import HeapModule
internal import Sealing
internal import Topology
internal import Wire
internal import Workbench
internal import ZeroMQ

/// One thread of the generator: its clients, their sockets and their jobs.
///
/// The loop keeps time first: whatever is due is sent before anything is sealed or opened. Jobs are sealed ahead, while nothing is
/// due, and results wait to be opened until then; the time of a result is that of its arrival.
final class Driver {
    struct Settings {
        let plan: LoadPlan
        let brokers: [BrokerAddress]
        /// The driver's place among so many.
        let place: Int
        let drivers: Int
        /// Whether samples must be those of a stub.
        let isStub: Bool
        /// Jobs under way here beyond which none is sent.
        let mostUnderWay: Int
        let link: LinkConfiguration
        /// Of the jobs; nil: they are not kept.
        let log: URL?
    }

    enum Command: Sendable {
        /// The first job may be due from this uptime on.
        case begin(at: Int64)
        /// No further jobs; what is under way is waited for.
        case finish
        case stop
    }

    private struct Alarm: Comparable {
        enum Kind { case machine, look, drop, think }

        let at: Int64
        let client: Int
        let kind: Kind

        static func < (a: Alarm, b: Alarm) -> Bool { a.at < b.at }
        static func == (a: Alarm, b: Alarm) -> Bool { a.at == b.at }
    }

    /// Clients of one tenant here, and when their jobs are due; without a stream they think.
    private struct Source {
        let tenant: Int
        let clients: Range<Int>
        var stream: ArrivalStream?
        var nextClient: Int
    }

    private let settings: Settings
    private let context: Context
    private let keys: LoadKeys
    private let inbox: Inbox<Command>
    private let board: DriverBoard
    private let poll: CrowdPoll
    private let log: JobLog?
    private var maker: JobMaker
    private var random: SplitMix64
    private var clients: [SyntheticClient] = []
    private var sources: [Source] = []
    /// When the next job of every source is due that is not sealed yet, and the earliest of these.
    private var moments: [Int64] = []
    private var nextToSeal = Int64.max
    /// Sealed and not yet due, in the order in which they are.
    private var sealed: Deque<SyntheticJob> = []
    private var jobs: [JobID: SyntheticJob] = [:]
    /// In the order in which they were sent, which is nearly that in which they time out.
    private var timeouts: Deque<(at: Int64, job: JobID)> = []
    private var results: Deque<(job: JobID, header: [UInt8], sealed: [UInt8], at: Int64)> = []
    /// Results that nobody waits for, of a job that was judged before, or of an earlier generator; only to be acknowledged.
    private var strays: Deque<(job: JobID, client: Int)> = []
    private var alarms = Heap<Alarm>()
    private var blocked: Set<Int> = []
    /// Not yet opened, and opened but not yet welcomed.
    private var unopened = 0
    private var opening = 0
    private var start: Int64?
    private var end = Int64.max
    private var isOver = false

    /// Handshakes under way at a time: a broker that is asked for more at once lets some wait too long.
    private static let mostOpening = 64
    /// Sealed ahead of their time, at most.
    private static let mostSealed = 64
    /// And no longer before it, in nanoseconds.
    private static let ahead: Int64 = 1_000_000_000
    private static let mostKeptSealers = 2_000

    init(
        _ settings: Settings, context: Context, keys: LoadKeys, inbox: Inbox<Command>, board: DriverBoard
    ) throws {
        self.settings = settings
        self.context = context
        self.keys = keys
        self.inbox = inbox
        self.board = board
        poll = try CrowdPoll(wakeUp: inbox.wakeUp)
        log = try settings.log.map { try JobLog($0) }
        let plan = settings.plan
        let seed = plan.seed &* 0x9E37_79B9 &+ UInt64(settings.place)
        random = SplitMix64(seed: seed)
        let life = (plan.timeout + plan.drain).nanoseconds / 1_000_000 + 600_000
        maker = try JobMaker(keys, lifetime: life, seed: random.next())
        try maker.prepare(plan.tenants)
        try makeClients()
    }

    private func makeClients() throws {
        let plan = settings.plan
        var link = settings.link
        link.alternatives = settings.brokers.count - 1
        let shares = plan.tenants.filter { $0.rate == nil && $0.think == nil }.reduce(0) { $0 + $1.share }
        var first = 0
        for (place, tenant) in plan.tenants.enumerated() {
            let begin = clients.count
            for number in first..<first + tenant.clients where number % settings.drivers == settings.place {
                let position = Double(number - first) / Double(tenant.clients)
                let kept = number / settings.drivers < Self.mostKeptSealers / settings.drivers
                let sealer = try keys.sealer(number)
                clients.append(
                    SyntheticClient(
                        number: number, tenant: place, isSlow: position < tenant.slow, identity: try keys.curve(number),
                        broker: number,
                        core: ClientCore(
                            client: sealer.client, configuration: link, random: SplitMix64(seed: random.next())),
                        sealer: kept ? sealer : nil))
            }
            first += tenant.clients
            let mine = begin..<clients.count
            guard !mine.isEmpty else { continue }
            let part = Double(mine.count) / Double(tenant.clients)
            var stream: ArrivalStream?
            if let rate = tenant.rate {
                let stage = LoadPlan.Stage(duration: plan.duration, from: rate, to: rate)
                stream = makeStream([stage], part)
            } else if tenant.think == nil {
                stream = makeStream(plan.stages, shares > 0 ? part * tenant.share / shares : 0)
            }
            sources.append(Source(tenant: place, clients: mine, stream: stream, nextClient: mine.lowerBound))
        }
        unopened = clients.count
    }

    private func makeStream(_ stages: [LoadPlan.Stage], _ scale: Double) -> ArrivalStream {
        ArrivalStream(
            stages, scale: scale, arrivals: settings.plan.arrivals,
            phase: (Double(settings.place) + 0.5) / Double(settings.drivers), seed: random.next())
    }

    // MARK: the loop

    func run() throws {
        // Before anybody is connected: results may wait for them.
        try takeUp()
        while !isOver {
            try openMore()
            let now = Moment.now().uptime
            let places = try poll.wait(until: nextMoment(now), mayWait: !hasWork(now))
            for command in inbox.takeAll() { take(command) }
            for place in places where place < clients.count { try read(place) }
            try sendWhatIsDue()
            try ring()
            for place in blocked where try clients[place].connection?.flush() ?? true { blocked.remove(place) }
            try work()
            settle()
        }
        board.finish(done: clients.map { (tenant: $0.tenant, done: $0.done) })
        for place in clients.indices {
            try carryOut(clients[place].core.handle(.close, at: .now()), place)
            try clients[place].connection?.flush()
        }
    }

    private func take(_ command: Command) {
        switch command {
        case .begin(let at):
            start = at
            end = at + settings.plan.duration.nanoseconds
            moments = sources.indices.map { moment(of: $0) }
            nextToSeal = moments.min() ?? .max
            for source in sources where source.stream == nil {
                // Spread over a whole pause, so that nobody begins in step.
                let think = Double(settings.plan.tenants[source.tenant].think?.nanoseconds ?? 0)
                for place in source.clients {
                    let pause = Int64(think * Double.random(in: 0..<1, using: &random))
                    alarms.insert(Alarm(at: at + pause, client: place, kind: .think))
                }
            }
            for place in clients.indices { planDrop(place, after: at) }
        case .finish: end = min(end, Moment.now().uptime)
        case .stop: isOver = true
        }
    }

    /// Goes on with what an earlier life of this generator has no result of.
    private func takeUp() throws {
        for (number, kept) in log?.unfinished ?? [] {
            guard let place = clients.firstIndex(where: { $0.number == number }),
                kept.tenant < settings.plan.tenants.count, jobs[kept.envelope.job] == nil
            else { continue }
            var job = kept
            job.client = place
            job.due = Moment.now().uptime
            try submit(job)
        }
    }

    /// There is something to seal or to open while nothing is due.
    private func hasWork(_ now: Int64) -> Bool {
        !results.isEmpty || !strays.isEmpty || (sealed.count < Self.mostSealed && nextToSeal - Self.ahead <= now)
    }

    private func nextMoment(_ now: Int64) -> Int64? {
        var next = min(alarms.min?.at ?? .max, sealed.first?.due ?? .max, timeouts.first?.at ?? .max)
        if sealed.count < Self.mostSealed { next = min(next, nextToSeal - Self.ahead) }
        if !blocked.isEmpty { next = min(next, now + 2_000_000) }
        if start != nil { next = min(next, jobs.isEmpty ? end : end + settings.plan.drain.nanoseconds) }
        return next == .max ? nil : next
    }

    /// One piece of work at a time, so that what comes due meanwhile is not late by more than that.
    private func work() throws {
        if sealed.count < 4 || results.count < 64, try sealNext() { return }
        try judgeNext()
    }

    // MARK: jobs going out

    /// Of the source's next job; `.max`: there is none.
    private func moment(of source: Int) -> Int64 {
        guard let start, let seconds = sources[source].stream?.next() else { return .max }
        return start + Int64(seconds * 1e9)
    }

    /// - Returns: false when there is nothing to seal now.
    private func sealNext() throws -> Bool {
        let due = nextToSeal
        guard sealed.count < Self.mostSealed, due != .max, due - Self.ahead <= Moment.now().uptime,
            let source = moments.firstIndex(of: due)
        else { return false }
        moments[source] = moment(of: source)
        nextToSeal = moments.min() ?? .max
        guard due < end else { return true }
        sealed.append(try make(sources[source].tenant, client(of: source), due: due))
        return true
    }

    private func client(of source: Int) -> Int {
        let clients = sources[source].clients
        guard settings.plan.arrivals == .constant else { return Int.random(in: clients, using: &random) }
        defer {
            let next = sources[source].nextClient + 1
            sources[source].nextClient = next < clients.upperBound ? next : clients.lowerBound
        }
        return sources[source].nextClient
    }

    private func make(_ tenant: Int, _ place: Int, due: Int64) throws -> SyntheticJob {
        let sealer = try clients[place].sealer ?? keys.sealer(clients[place].number)
        return try maker.make(
            settings.plan.tenants[tenant], at: tenant, client: place, by: sealer, due: due)
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

    private func send(_ job: SyntheticJob) throws {
        guard jobs.count < settings.mostUnderWay else {
            board.count { $0.tenants[job.tenant].counts.offered += 1 }
            return
        }
        log?.sends(job, client: clients[job.client].number)
        try submit(job)
    }

    private func submit(_ job: SyntheticJob) throws {
        var job = job
        let id = job.envelope.job, place = job.client
        let actions = clients[place].core.handle(.submit(job.envelope, sealed: job.sealed), at: .now())
        let size = job.sealed.count + job.envelope.bytes.count
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

    // MARK: what comes in

    private func read(_ place: Int) throws {
        guard let connection = clients[place].connection, !clients[place].isLookingAway else { return }
        var hasRead = false
        while clients[place].connection === connection, let reception = try connection.receive() {
            hasRead = true
            let now = Moment.now()
            let actions: [LinkAction<ClientCore.Event>]
            switch reception {
            case .nothing: return
            case .refused(let refusal, _):
                actions = clients[place].core.receivedGarbage(
                    WireError(.malformed, "the message was not read: \(refusal)"), at: now)
            case .message(let message):
                do throws(WireError) {
                    actions = clients[place].core.receive(try Frames(parts: message.parts), at: now)
                } catch {
                    actions = clients[place].core.receivedGarbage(error, at: now)
                }
            }
            try carryOut(actions, place)
        }
        if hasRead, clients[place].isSlow, start != nil, clients[place].connection === connection {
            clients[place].isLookingAway = true
            try connection.leave(poll)
            let pause = settings.plan.tenants[clients[place].tenant].slowPause.nanoseconds
            alarms.insert(Alarm(at: Moment.now().uptime + pause, client: place, kind: .look))
        }
        setAlarm(place)
    }

    private func carryOut(_ actions: [LinkAction<ClientCore.Event>], _ place: Int) throws {
        for action in actions {
            switch action {
            case .event(let event): hear(event, place)
            case .send(let frames):
                guard let connection = clients[place].connection else { continue }
                guard try connection.send(frames.parts(sequence: frames.control.sequence)) else {
                    try open(place)
                    return
                }
                if connection.isBlocked { blocked.insert(place) }
            case .reconnect:
                try open(place)
                return
            case .move:
                clients[place].broker += 1
                try open(place)
                return
            case .close: break
            }
        }
        setAlarm(place)
    }

    private func hear(_ event: ClientCore.Event, _ place: Int) {
        let now = Moment.now().uptime
        switch event {
        case .welcomed(let welcome):
            if !clients[place].isWelcomed {
                clients[place].isWelcomed = true
                opening -= 1
                let took = now - clients[place].openedAt
                board.count { $0.connect.record(took) }
                board.isWelcomed(1)
            }
            if place == 0 { maker.accept(poolKeyBundle: welcome.keyBundle) }
        case .keys(let bundle): if place == 0 { maker.accept(poolKeyBundle: bundle) }
        case .lost(let loss):
            if clients[place].isWelcomed {
                clients[place].isWelcomed = false
                opening += 1
                board.isWelcomed(-1)
            }
            board.count { $0.sessionsLost += 1 }
            board.note(loss.reason)
        case .accepted(let id):
            guard let job = jobs[id], job.accepted == nil else { break }
            jobs[id]?.accepted = now
            log?.accepts(id)
            board.count { tally in
                tally.tenants[job.tenant].counts.accepted += 1
                tally.accept.record(now - job.due)
            }
        case .rejected(let id, let code, let message, let retryAfter):
            board.count { $0.rejects["\(code)", default: 0] += 1 }
            board.note(message)
            guard retryAfter == nil else { break }
            log?.ends(id, "\(code)")
            finish(id) { $0.refused += 1 }
        case .conflict(let id, let message):
            board.count { $0.rejects["conflict", default: 0] += 1 }
            log?.ends(id, "conflict")
            board.note(message)
            finish(id) { $0.refused += 1 }
        case .ended(let id, let code, let message):
            board.count { $0.ends["\(code)", default: 0] += 1 }
            log?.ends(id, "\(code)")
            board.note(message)
            finish(id) { $0.ended += 1 }
        case .result(let id, let header, let sealed):
            guard let job = jobs[id], !job.hasResult else {
                // One that an earlier life of this generator judged came again as it should.
                if log?.hasSurfaced(id) != true || jobs[id] != nil { board.count { $0.duplicates += 1 } }
                if jobs[id] == nil { strays.append((id, place)) }
                break
            }
            // Its ACCEPTED went down with a connection.
            if job.accepted == nil { board.count { $0.tenants[job.tenant].counts.accepted += 1 } }
            jobs[id]?.hasResult = true
            results.append((id, header, sealed, now))
        case .preview, .status, .ackStored: break
        }
    }

    /// Opens the oldest result and holds it against what must come; acknowledged is either way what a client would have surfaced.
    private func judgeNext() throws {
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
    private func finish(_ id: JobID, _ change: @Sendable (inout Tally.Counts) -> Void) {
        guard let job = jobs.removeValue(forKey: id) else { return }
        board.count { change(&$0.tenants[job.tenant].counts) }
        guard let think = settings.plan.tenants[job.tenant].think else { return }
        let pause = Int64(Double(think.nanoseconds) * random.exponential())
        alarms.insert(Alarm(at: Moment.now().uptime + pause, client: job.client, kind: .think))
    }

    // MARK: connections and alarms

    private func openMore() throws {
        while unopened > 0, opening < Self.mostOpening {
            opening += 1
            unopened -= 1
            try open(clients.count - unopened - 1)
        }
    }

    /// A fresh connection; the session on the last one is over.
    private func open(_ place: Int) throws {
        if let old = clients[place].connection {
            if !clients[place].isLookingAway { try old.leave(poll) }
            try old.abandon()
        }
        blocked.remove(place)
        if clients[place].isWelcomed {
            clients[place].isWelcomed = false
            opening += 1
            board.isWelcomed(-1)
        }
        let broker = settings.brokers[clients[place].broker % settings.brokers.count]
        let connection = try LinkConnection(
            context, broker, clients[place].identity, LinkSettings(), isWatched: false)
        clients[place].connection = connection
        clients[place].openedAt = Moment.now().uptime
        clients[place].isLookingAway = false
        try connection.join(poll, as: place)
        try carryOut(clients[place].core.opened(at: .now()), place)
        try read(place)
    }

    private func planDrop(_ place: Int, after now: Int64) {
        guard let life = settings.plan.tenants[clients[place].tenant].churn else { return }
        let at = now + Int64(Double(life.nanoseconds) * random.exponential())
        if at < end { alarms.insert(Alarm(at: at, client: place, kind: .drop)) }
    }

    private func setAlarm(_ place: Int) {
        guard let deadline = clients[place].core.nextDeadline, deadline < clients[place].alarm else { return }
        clients[place].alarm = deadline
        alarms.insert(Alarm(at: deadline, client: place, kind: .machine))
    }

    private func ring() throws {
        let now = Moment.now()
        while let alarm = alarms.min, alarm.at <= now.uptime {
            alarms.removeMin()
            let place = alarm.client
            switch alarm.kind {
            case .machine:
                // An alarm that was set anew for an earlier moment leaves this one behind.
                guard alarm.at == clients[place].alarm else { continue }
                clients[place].alarm = .max
                if let deadline = clients[place].core.nextDeadline, deadline <= now.uptime {
                    try carryOut(clients[place].core.tick(at: now), place)
                    try read(place)
                }
                setAlarm(place)
            case .look:
                guard clients[place].isLookingAway else { continue }
                clients[place].isLookingAway = false
                try clients[place].connection?.join(poll, as: place)
                try read(place)
            case .drop:
                board.count { $0.churned += 1 }
                try open(place)
                planDrop(place, after: now.uptime)
            case .think:
                guard now.uptime < end else { continue }
                try send(make(clients[place].tenant, place, due: alarm.at))
            }
        }
        while let (at, id) = timeouts.first, at <= now.uptime {
            timeouts.removeFirst()
            guard let job = jobs[id], !job.hasResult, !job.hasTimedOut else { continue }
            jobs[id]?.hasTimedOut = true
            board.count { $0.tenants[job.tenant].counts.timeouts += 1 }
        }
    }

    /// Ends once all is answered, or the time for that is over.
    private func settle() {
        board.set(underWay: jobs.count)
        guard start != nil else { return }
        let now = Moment.now().uptime
        guard now >= end, jobs.isEmpty || now >= end + settings.plan.drain.nanoseconds else { return }
        for job in jobs.values where !job.hasResult {
            board.count { tally in
                if job.accepted != nil {
                    tally.tenants[job.tenant].counts.lost += 1
                } else {
                    tally.tenants[job.tenant].counts.unanswered += 1
                }
            }
        }
        isOver = true
    }
}

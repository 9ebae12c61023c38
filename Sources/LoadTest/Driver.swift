internal import CProcess
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
        /// Jobs under way here, and bytes that are kept for them, beyond which none is sent.
        let mostUnderWay: Int
        let mostKept: Int
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

    let settings: Settings
    let context: Context
    let keys: LoadKeys
    let inbox: Inbox<Command>
    let board: DriverBoard
    let poll: CrowdPoll
    let log: JobLog?
    var maker: JobMaker
    var random: SplitMix64
    var clients: [SyntheticClient] = []
    var timetable: Timetable
    /// Sealed and not yet due, in the order in which they are.
    var sealed: Deque<SyntheticJob> = []
    var jobs: [JobID: SyntheticJob] = [:]
    /// When jobs were due whose result came before the broker had said that it stored them.
    var unconfirmed: [JobID: Int64] = [:]
    /// In the order in which they were sent, which is nearly that in which they time out.
    var timeouts: Deque<(at: Int64, job: JobID)> = []
    var results: Deque<(job: JobID, header: [UInt8], sealed: [UInt8], at: Int64)> = []
    /// Results that nobody waits for, of a job that was judged before, or of an earlier generator; only to be acknowledged.
    var strays: Deque<(job: JobID, client: Int)> = []
    /// Bytes of sealed jobs that their clients' machines hold until there is a result, and of results that wait to be opened.
    var kept = 0
    var alarms = Heap<Alarm>()
    var blocked: Set<Int> = []
    /// Not yet opened, and opened but not yet welcomed.
    var unopened = 0
    var opening = 0
    var start: Int64?
    var end = Int64.max
    var isOver = false

    /// Handshakes under way at a time: a broker that is asked for more at once lets some wait too long.
    static let mostOpening = 64
    /// Sealed ahead of their time, at most.
    static let mostSealed = 256
    /// And no longer before it, in nanoseconds.
    static let ahead: Int64 = 1_000_000_000
    /// Of the scheduler, in nanoseconds: what comes due while libzmq's thread has the core need not wait for the end of its turn.
    static let turn: UInt64 = 100_000

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
        timetable = Timetable(plan, place: settings.place, drivers: settings.drivers)
        try maker.prepare(plan.tenants)
        try makeClients()
    }

    private func makeClients() throws {
        let plan = settings.plan
        var link = settings.link
        link.alternatives = settings.brokers.count - 1
        var first = 0
        for (place, tenant) in plan.tenants.enumerated() {
            let begin = clients.count
            for number in first..<first + tenant.clients where number % settings.drivers == settings.place {
                let position = Double(number - first) / Double(tenant.clients)
                let sealer = try keys.sealer(number)
                clients.append(
                    SyntheticClient(
                        number: number, tenant: place, isSlow: position < tenant.slow, identity: try keys.curve(number),
                        broker: number,
                        core: ClientCore(
                            client: sealer.client, configuration: link, random: SplitMix64(seed: random.next())),
                        sealer: sealer))
            }
            first += tenant.clients
            timetable.add(begin..<clients.count, of: place, using: &random)
        }
        unopened = clients.count
    }

    // MARK: the loop

    func run() throws {
        cprocess_take_short_turns(Self.turn)
        // Before anybody is connected: results may wait for them.
        try takeUp()
        while !isOver {
            try openMore()
            let now = Moment.now().uptime
            let places = try poll.wait(until: nextMoment(now), mayWait: !hasWork(now))
            for command in inbox.takeAll() { take(command) }
            for place in places where place < clients.count {
                // Before each: many may have news at once.
                try keepTime()
                try read(place)
            }
            try keepTime()
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
            end = min(end, at + settings.plan.duration.nanoseconds)
            board.set(end: end)
            timetable.begin(at: at)
            for (place, pause) in timetable.firstThoughts(using: &random) {
                alarms.insert(Alarm(at: at + pause, client: place, kind: .think))
            }
            for place in clients.indices { planDrop(place, after: at) }
        case .finish:
            end = min(end, Moment.now().uptime)
            board.set(end: end)
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
        !results.isEmpty || !strays.isEmpty || (sealed.count < Self.mostSealed && timetable.next - Self.ahead <= now)
    }

    private func nextMoment(_ now: Int64) -> Int64? {
        var next = min(alarms.min?.at ?? .max, sealed.first?.due ?? .max, timeouts.first?.at ?? .max)
        if sealed.count < Self.mostSealed { next = min(next, timetable.next - Self.ahead) }
        if !blocked.isEmpty { next = min(next, now + 2_000_000) }
        if start != nil { next = min(next, isAnswered ? end : end + settings.plan.drain.nanoseconds) }
        return next == .max ? nil : next
    }

    /// One piece of work at a time, so that what comes due meanwhile is not late by more than that.
    private func work() throws {
        if sealed.count < 4 || results.count < 64, try sealNext() { return }
        try judgeNext()
    }

    private var isAnswered: Bool { jobs.isEmpty && unconfirmed.isEmpty }

    /// Ends once all is answered, or the time for that is over and what came is opened.
    private func settle() {
        board.set(underWay: jobs.count)
        let now = Moment.now().uptime
        guard start != nil, now >= end else { return }
        let isBehind = min(sealed.first?.due ?? .max, timetable.next) < end
        let isGivenUp = results.isEmpty && now >= end + settings.plan.drain.nanoseconds
        guard (isAnswered && !isBehind) || isGivenUp else { return }
        for (id, job) in jobs {
            if job.accepted != nil { fail(id) { $0.lost += 1 } } else { fail(id) { $0.unanswered += 1 } }
        }
        for due in unconfirmed.values { board.count { [wait = wait(since: due)] in $0.accept.miss(after: wait) } }
        while let job = sealed.popFirst(), job.due < end { holdBack(job.tenant, job.client, due: job.due) }
        while let entry = timetable.take(before: end, using: &random) {
            holdBack(entry.tenant, entry.client, due: entry.due)
        }
        board.set(underWay: 0)
        isOver = true
    }
}

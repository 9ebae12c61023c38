internal import Exchange
internal import Wire

/// Whether one life of a broker shares its workers fairly, reckoned from what was asked of it, what it decided and what workers measured. It
/// knows neither clocks nor turns of the queue.
///
/// The bound is that of deficit round-robin (Shreedhar & Varghese, *Efficient fair queuing using deficit round-robin*, IEEE/ACM
/// Transactions on Networking 4(3), 1996, theorem on the fairness measure: two flows with packets waiting differ by 2·Max + Quantum at
/// most, per share), here without a quantum, for S jobs served at a time whose cost is known only afterwards. Take two clients of one role and
/// priority, `late` and `early`, and a stretch that begins when a job of `late` is leased and ends when one of `early` is. At both moments
/// the other has a job that could be leased, and `late` has one all the time between. Then
///
///     served(early) / w(early) − served(late) / w(late)  ≤  open(early, begin) / w(early) + open(late, end) / w(late)
///
/// served: the measured cost of jobs that ended in the stretch; open: the ceilings of what is leased at that moment. Both are S·C at most, C
/// being the largest ceiling.
///
/// A client that has not had its first turn since it began to wait has no such beginning. For it the stretch begins when both wait, and as much
/// more is allowed as `late` was served since its last turn, and as `early` ever had leased at a time.
///
/// Between priorities the bounds are of time: while jobs of a higher one wait, a lower one has no two turns within the ageing; and the k-th below
/// another has a turn at least every k times the ageing, and later by as long as the other's last turn is ago.
///
/// What makes it hold among faults:
/// - A lease that is lost is refunded, and nobody sees from outside when. So it is open until the job is leased again or over.
/// - A suspect runs alone and not in turn. It counts for `late`, by the time for which it was leased if nobody measured it; for `early` not.
/// - Only a job that was accepted in this life, or not leased in an earlier one, and not leased since, surely waits. One that came back may pause.
/// - A client for whose results there might be no room may not be served; when there is room again it begins to wait anew.
/// - A broker that starts again begins anew.
struct FairnessChecker {
    private struct Job {
        let share: Int
        /// Microseconds of worker time.
        let ceiling: Double
        let envelope: Int
        var isSuspect = false
    }

    private struct Lease {
        let ceiling: Double
        let since: Int64
        /// Neither a suspect's nor one that a worker brought along.
        let isInTurn: Bool
        let isAlone: Bool

        /// More than it can be charged.
        func most(at now: Int64) -> Double { isAlone ? max(ceiling, elapsed(at: now)) : ceiling }
        func elapsed(at now: Int64) -> Double { Double(now - since) / 1_000 }
    }

    /// A client's part of a role's workers. Costs in microseconds of worker time.
    private struct Share {
        let client: ClientID
        let role: WorkerRole
        let priority: Int32
        let weight: Double
        /// Surely.
        var waiting: Set<JobKey> = []
        /// The how manieth client began to wait then.
        var since = Int32.max
        /// Uptime since which it has been ready.
        var readySince = Int64.max
        var leases: [JobKey: Lease] = [:]
        /// No more than it was served in its turns.
        var least = 0.0
        /// No less than it was served.
        var most = 0.0
        /// `most` at its last turn.
        var atLastTurn = 0.0
        /// The largest that `open` ever was.
        var mostOpen = 0.0
        /// There surely is room for its results.
        var hasRoom = false

        var isReady: Bool { !waiting.isEmpty && hasRoom }
        var open: Double { leases.values.reduce(0) { $0 + $1.ceiling } }
        func mostOwed(at now: Int64) -> Double { leases.values.reduce(most) { $0 + $1.most(at: now) } }
    }

    /// Clients of one priority, before workers of one role.
    private struct Band: Hashable {
        let role: WorkerRole
        let priority: Int32
    }

    private struct Pair: Hashable {
        let late: Int
        let early: Int
    }

    private let limits: Limits
    /// Jobs that all workers take at a time.
    private let slots: Int
    /// Nanoseconds.
    private let ageing: Int64
    private let start: Int64
    private let rights: (ClientID) -> ClientRights
    private var shares: [Share] = []
    private var jobs: [JobKey: Job] = [:]
    /// Results that wait for their clients, and the largest that came.
    private var kept: [JobKey: ClientID] = [:]
    private var largestResult = 1_024
    /// The least of `early` over `late` since a turn of `late`, and since both wait.
    private var sinceTurn: [Pair: Double] = [:]
    private var sinceBoth: [Pair: Double] = [:]
    private var stretches: Int32 = 0
    /// Uptimes.
    private var lastTurns: [Band: Int64] = [:]
    /// Turns that were held against the bound.
    private(set) var comparisons = 0
    private(set) var violation: String?

    /// - Parameters:
    ///   - recovered: what the broker starts with.
    ///   - rights: of the roster.
    init(
        limits: Limits, slots: Int, ageing: Int64, recovered: [JournalEntry], at now: Int64,
        rights: @escaping (ClientID) -> ClientRights
    ) {
        self.limits = limits
        self.slots = slots
        self.ageing = ageing
        start = now
        self.rights = rights
        var attempted: Set<JobKey> = []
        for entry in recovered {
            if case .accepted(let key, _, _) = entry, jobs[key] == nil { attempted.remove(key) }
            if case .attempted(let key, _, _) = entry {
                attempted.insert(key)
            } else {
                note(entry, at: now, waits: false)
            }
        }
        for (key, job) in jobs where !attempted.contains(key) && !job.isSuspect && kept[key] == nil {
            wait(key, job.share, at: now)
        }
        lookForRoom(at: now)
    }

    // MARK: what happens

    /// What a worker that came back says that it has: the broker may take it for leased.
    mutating func named(_ held: [JobKey], at now: Int64) {
        for key in held {
            guard let job = jobs[key], shares[job.share].leases[key] == nil else { continue }
            shares[job.share].leases[key] = Lease(ceiling: 0, since: now, isInTurn: false, isAlone: job.isSuspect)
        }
    }

    /// What one call of the broker decided.
    ///
    /// - Parameters:
    ///   - cost: that a worker measured of the result that the call is about; nil: the job was not leased any more, and it is charged nothing.
    mutating func decided(_ actions: [BrokerAction], cost: UInt64?, at now: Int64) {
        var isNews = false
        for case .append(let entry) in actions {
            note(entry, at: now, cost: cost.map { Double($0) })
            isNews = true
        }
        if isNews { lookForRoom(at: now) }
    }

    private mutating func note(_ entry: JournalEntry, at now: Int64, cost: Double? = nil, waits: Bool = true) {
        let key = entry.key
        switch entry {
        case .accepted(_, let bytes, _):
            // A dead letter that is replayed is known, and runs alone.
            guard jobs[key] == nil, let envelope = try? Envelope(bytes: bytes),
                let role = WorkerRole(doing: envelope.kind)
            else { return }
            let share = share(of: key.client, role)
            jobs[key] = Job(share: share, ceiling: Double(envelope.costCeiling), envelope: bytes.count)
            if waits { wait(key, share, at: now) }
        case .attempted: lease(key, at: now)
        case .suspected:
            close(key, at: now)
            if let job = jobs[key] { leaveLine(key, job.share) }
            jobs[key]?.isSuspect = true
        case .finished(_, let header, let sealed, _):
            guard let job = jobs[key] else { return }
            leaveLine(key, job.share)
            if let cost {
                shares[job.share].most += cost
                if let lease = shares[job.share].leases.removeValue(forKey: key) {
                    if lease.isInTurn { shares[job.share].least += cost }
                    // It may have been lost and found again, which is not written down, and charged for the time before.
                    if lease.isAlone { shares[job.share].most += lease.elapsed(at: now) }
                }
            }
            close(key, at: now)
            kept[key] = key.client
            largestResult = max(
                largestResult, job.envelope + header.count + sealed.count + BrokerHoldings.jobOverhead)
        case .ended(_, .deadLetter):
            close(key, at: now)
            jobs[key]?.isSuspect = true
        case .acknowledged, .ended:
            guard let job = jobs.removeValue(forKey: key) else { return }
            leaveLine(key, job.share)
            // What it was charged stands.
            if let lease = shares[job.share].leases.removeValue(forKey: key) {
                shares[job.share].most += lease.most(at: now)
            }
            kept[key] = nil
        case .forgotten: break
        }
    }

    private mutating func share(of client: ClientID, _ role: WorkerRole) -> Int {
        if let place = shares.firstIndex(where: { $0.client == client && $0.role == role }) { return place }
        let rights = rights(client)
        shares.append(
            Share(client: client, role: role, priority: rights.priority, weight: Double(max(rights.weight, 1))))
        return shares.count - 1
    }

    /// In which clients began to wait for workers that denoise; those that do not wait come last.
    func rank(of client: ClientID) -> Int32 {
        shares.first { $0.client == client && $0.role == .denoise }?.since ?? .max
    }

    /// The lease, if there was one, is over without a result: it was refunded, unless the job had the worker for itself.
    private mutating func close(_ key: JobKey, at now: Int64) {
        guard let share = jobs[key]?.share, let lease = shares[share].leases.removeValue(forKey: key) else { return }
        if lease.isAlone { shares[share].most += lease.elapsed(at: now) }
    }

    // MARK: who waits

    private mutating func wait(_ key: JobKey, _ place: Int, at now: Int64) {
        shares[place].waiting.insert(key)
        guard shares[place].waiting.count == 1 else { return }
        stretches += 1
        shares[place].since = stretches
        if shares[place].isReady { begin(place, at: now) }
    }

    /// Its jobs may be leased from now on.
    private mutating func begin(_ place: Int, at now: Int64) {
        shares[place].readySince = now
        for other in rivals(of: place) where shares[other].isReady {
            for pair in [Pair(late: place, early: other), Pair(late: other, early: place)] {
                let late = shares[pair.late]
                let owed = (late.mostOwed(at: now) - late.atLastTurn) / late.weight
                sinceBoth[pair] = min(sinceBoth[pair] ?? .infinity, before(pair) + owed)
            }
        }
    }

    private mutating func leaveLine(_ key: JobKey, _ place: Int) {
        guard shares[place].waiting.remove(key) != nil, shares[place].waiting.isEmpty else { return }
        shares[place].since = .max
        stop(place)
    }

    /// It begins anew when its jobs may be leased again: from its rivals' clock, as after any pause.
    private mutating func stop(_ place: Int) {
        for other in rivals(of: place) {
            sinceTurn[Pair(late: place, early: other)] = nil
            sinceBoth[Pair(late: place, early: other)] = nil
        }
    }

    private func rivals(of place: Int) -> [Int] {
        shares.indices.filter {
            $0 != place && shares[$0].role == shares[place].role && shares[$0].priority == shares[place].priority
        }
    }

    /// Once a call is over nobody is held back for whose results there is room. Within the next all slots may be filled.
    private mutating func lookForRoom(at now: Int64) {
        var own: [ClientID: Int] = [:]
        for client in kept.values { own[client, default: 0] += 1 }
        for share in shares { own[share.client, default: 0] += share.leases.count }
        let all = own.values.reduce(0, +)
        for place in shares.indices {
            let needed = own[shares[place].client, default: 0] + slots + 1
            let hasRoom =
                needed * largestResult <= limits.resultBytesPerClient
                && (needed + all) * largestResult <= limits.resultBytes
            let wasReady = shares[place].isReady
            shares[place].hasRoom = hasRoom
            if wasReady, !hasRoom { stop(place) }
            if !wasReady, shares[place].isReady { begin(place, at: now) }
        }
    }

    // MARK: the bound

    private mutating func lease(_ key: JobKey, at now: Int64) {
        close(key, at: now)
        guard let job = jobs[key] else { return }
        if !job.isSuspect { turn(of: job.share, at: now) }
        leaveLine(key, job.share)
        // It was not sure that this one waited, and it was the last: whoever waits next begins anew.
        if shares[job.share].waiting.isEmpty { stop(job.share) }
        shares[job.share].leases[key] = Lease(
            ceiling: job.ceiling, since: now, isInTurn: !job.isSuspect, isAlone: job.isSuspect)
        shares[job.share].mostOpen = max(shares[job.share].mostOpen, shares[job.share].open)
    }

    /// What `early` has over `late`, at most, where a stretch begins.
    private func before(_ pair: Pair) -> Double {
        let late = shares[pair.late], early = shares[pair.early]
        return (early.least + early.open) / early.weight - late.most / late.weight
    }

    /// What it has, at least, where it ends.
    private func after(_ pair: Pair, at now: Int64) -> Double {
        let late = shares[pair.late], early = shares[pair.early]
        return early.least / early.weight - late.mostOwed(at: now) / late.weight
    }

    private mutating func turn(of place: Int, at now: Int64) {
        for other in rivals(of: place) where shares[other].isReady {
            let pair = Pair(late: other, early: place)
            let reached = after(pair, at: now)
            comparisons += 1
            require(reached, since: sinceTurn[pair], "its last turn", pair)
            require(reached - shares[place].mostOpen / shares[place].weight, since: sinceBoth[pair], "both wait", pair)
            let turn = Pair(late: place, early: other)
            sinceTurn[turn] = min(sinceTurn[turn] ?? .infinity, before(turn))
        }
        shares[place].atLastTurn = shares[place].most
        requirePriority(at: place, now)
        requireAgeing(at: place, now)
        lastTurns[band(of: place)] = now
    }

    /// Who goes before others has waited for as long as one step takes.
    private mutating func requirePriority(at place: Int, _ now: Int64) {
        let band = band(of: place)
        guard now - (lastTurns[band] ?? start) < ageing, violation == nil else { return }
        guard let other = shares.first(where: { $0.role == band.role && $0.priority > band.priority && $0.isReady })
        else { return }
        violation =
            "out of order: \(other.client.short), priority \(other.priority), has \(other.role) jobs waiting, and "
            + "\(shares[place].client.short), priority \(band.priority), has a turn before it waited for the ageing"
    }

    private func band(of place: Int) -> Band { Band(role: shares[place].role, priority: shares[place].priority) }

    /// Nobody of a lower priority has waited for so long that it was his turn.
    private mutating func requireAgeing(at place: Int, _ now: Int64) {
        let band = band(of: place)
        let own = (now - (lastTurns[band] ?? start)) / ageing
        let priorities = Set(shares.lazy.filter { $0.role == band.role }.map(\.priority))
        for other in shares where other.role == band.role && other.priority < band.priority && other.isReady {
            let last = lastTurns[Band(role: other.role, priority: other.priority)] ?? start
            let waited = (now - max(last, other.readySince)) / ageing
            let steps = Int64(priorities.count { $0 < band.priority && $0 >= other.priority })
            guard waited >= steps + own, violation == nil else { continue }
            violation =
                "starved: \(other.client.short), priority \(other.priority), has \(other.role) jobs waiting, and "
                + "\(shares[place].client.short), priority \(band.priority), has a turn after \(waited) times the ageing"
        }
    }

    private mutating func require(_ reached: Double, since least: Double?, _ when: String, _ pair: Pair) {
        // A microsecond for the rounding.
        guard let least, reached - least > 1, violation == nil else { return }
        let late = shares[pair.late], early = shares[pair.early]
        violation =
            "unfair: \(late.client.short), weight \(Int(late.weight)), has \(late.role) jobs waiting, and "
            + "\(early.client.short), weight \(Int(early.weight)), was served \(Int((reached - least) / 1_000)) ms "
            + "per weight more than it may be since \(when)"
    }
}

internal import Exchange
internal import Fabric
internal import Journal
internal import Monitoring
internal import Observability
internal import Trust
internal import Wire
internal import ZeroMQ

/// Writes the broker's figures where others may read them. It belongs to the broker's thread.
struct BrokerBoard {
    private let board: StatusBoard
    private let name: String
    /// When each unfinished job was accepted, and whether it was leased since; uptime in nanoseconds.
    private(set) var accepted: [JobKey: (at: Int64, isLeased: Bool)] = [:]
    private var durations = DurationHistogram()
    private var waits = DurationHistogram()
    /// What these were, a line a second, for the last quarter of a minute.
    private var earlier: [(durations: DurationHistogram, waits: DurationHistogram)] = []

    /// Clients that `/status` names.
    private static let tenantsShown = 20

    init(_ board: StatusBoard, name: String) {
        self.board = board
        self.name = name
    }

    /// What is decided of jobs, as it is written into the journal.
    mutating func observe(_ entry: JournalEntry, at now: Int64) {
        switch entry {
        case .accepted(let key, _, _): accepted[key] = (now, false)
        case .attempted(let key, _, _):
            guard let job = accepted[key], !job.isLeased else { break }
            accepted[key]?.isLeased = true
            waits.record(nanoseconds: now - job.at)
        case .finished(let key, _, _, _):
            if let job = accepted.removeValue(forKey: key) { durations.record(nanoseconds: now - job.at) }
        // Without a result: over, given up, or done at another broker.
        case .ended(let key, _), .acknowledged(let key): accepted[key] = nil
        case .suspected, .forgotten: break
        }
    }

    /// - Parameter obstacle: why no jobs are taken now; nil: they are.
    mutating func post(
        _ core: BrokerCore, _ hub: RouterHub, _ directory: Directory, _ journal: JournalFigures, hold: Int,
        obstacle: String?
    ) {
        let snapshot = core.snapshot
        earlier.append((durations, waits))
        if earlier.count > 15 { earlier.removeFirst() }
        let dead = core.deadLetters
        board.post(
            page(snapshot, dead: dead, hub, directory, journal, hold: hold),
            status: status(snapshot, dead: dead, core, directory),
            obstacle: obstacle)
    }

    /// No figures are to come.
    func leave() { board.post(Exposition(), obstacle: "the broker is going down") }

    private func page(
        _ snapshot: BrokerSnapshot, dead: Int, _ hub: RouterHub, _ directory: Directory, _ journal: JournalFigures,
        hold: Int
    ) -> Exposition {
        var page = Exposition()
        let counters = snapshot.counters
        page.gauge("broker_sessions", "Clients and workers in session.", Double(snapshot.sessions))
        page.gauge("broker_jobs", "Jobs that are not over, results in mailboxes among them.", Double(snapshot.jobs))
        page.gauge("broker_held_bytes", "Bytes of jobs, results and checkpoints that are held.", Double(snapshot.bytes))
        page.gauge("broker_hold_bytes", "Bytes of jobs at which new ones are refused.", Double(hold))
        page.gauge("broker_jobs_dead", "Dead letters, which wait for the operator.", Double(dead))
        page.gauge("broker_tombstones", "Jobs that are over and remembered.", Double(snapshot.tombstones))
        func roles(_ value: (BrokerSnapshot.Role) -> Int) -> [Exposition.Sample] {
            snapshot.roles.map { (["role": $0.role.rawValue], Double(value($0))) }
        }
        page.gauge("broker_workers", "Workers in session.", roles(\.workers))
        page.gauge("broker_worker_slots", "Jobs that workers have room for.", roles(\.slots))
        page.gauge("broker_jobs_leased", "Jobs at workers.", roles(\.leased))
        page.gauge("broker_jobs_queued", "Jobs that wait for a worker.", roles(\.queued))
        page.counter("broker_jobs_submitted", "Jobs that clients sent, repeated ones among them.", counters.submitted)
        page.counter("broker_jobs_accepted", "Jobs that were taken, to be stored and then accepted.", counters.accepted)
        page.counter("broker_jobs_rejected", "Jobs that were refused, for now or for good.", counters.rejected)
        page.counter("broker_jobs_conflicting", "Jobs with the id of another.", counters.conflicts)
        page.counter("broker_leases", "Jobs that were given to a worker.", counters.leased)
        page.counter(
            "broker_leases_lost", "Leases that ended because a worker was silent or gone.", counters.leasesLost)
        page.counter("broker_leases_handed_back", "Leases that a worker gave back.", counters.handedBack)
        page.counter("broker_jobs_finished", "Jobs with a result.", counters.finished)
        page.counter("broker_results_stale", "Results of attempts that no longer counted.", counters.staleResults)
        page.counter("broker_results_acknowledged", "Results that clients have surfaced.", counters.acknowledged)
        page.counter("broker_jobs_cancelled", "Jobs that clients cancelled.", counters.cancelled)
        page.counter("broker_jobs_expired", "Jobs that expired without a result.", counters.expired)
        page.counter("broker_dead_letters", "Jobs that were given up after too many attempts.", counters.deadLetters)
        page.counter("broker_checkpoints", "Checkpoints that were kept.", counters.checkpoints)
        page.counter("broker_garbage", "Messages that were none.", counters.garbage)
        page.counter("broker_refused", "Handshakes and messages of keys that nobody knows.", hub.refused)
        let traffic = hub.traffic.reduce(into: [Side: Traffic]()) { sides, peer in
            guard let side = directory.side(of: peer.key) else { return }
            sides[side, default: Traffic()].bytesIn += peer.value.bytesIn
            sides[side, default: Traffic()].bytesOut += peer.value.bytesOut
        }
        func sides(_ value: (Traffic) -> Int) -> [Exposition.Sample] {
            [("client", Side.client), ("worker", .worker)].map { name, side in
                (["side": name], Double(value(traffic[side] ?? Traffic())))
            }
        }
        page.counter("broker_received_bytes", "Bytes of messages that came in.", sides(\.bytesIn))
        page.counter("broker_sent_bytes", "Bytes of messages that went out.", sides(\.bytesOut))
        page.counter("broker_journal_commits", "Commits of the journal.", journal.commits)
        page.counter("broker_journal_entries", "Entries that were committed.", journal.entries)
        page.counter("broker_journal_written_bytes", "Bytes of payloads and results that were written.", journal.bytes)
        page.counter("broker_journal_commit_seconds", "What commits took together.", [([:], journal.seconds)])
        page.gauge("broker_journal_longest_commit_seconds", "What the longest commit took.", journal.longest)
        page.counter("broker_journal_failures", "Commits that failed.", journal.failures)
        page.histogram("broker_job_wait", "From accepting a job to the first worker that took it.", waits)
        page.histogram("broker_job_duration", "From accepting a job to its result.", durations)
        return page
    }

    private func status(
        _ snapshot: BrokerSnapshot, dead: Int, _ core: BrokerCore, _ directory: Directory
    ) -> [JSONValue.Field] {
        let counters = snapshot.counters, tenants = core.tenants(first: Self.tenantsShown)
        func quantiles(_ all: DurationHistogram, _ before: DurationHistogram?) -> JSONValue {
            let recent = before.map { all.since($0) } ?? all
            return [
                "count": .integer(recent.count), "p50": .number(recent.quantile(0.5)),
                "p90": .number(recent.quantile(0.9)), "p99": .number(recent.quantile(0.99)),
            ]
        }
        return [
            .init("role", "broker"), .init("name", .string(name)), .init("sessions", .integer(snapshot.sessions)),
            .init("jobs", .integer(snapshot.jobs)), .init("held_bytes", .integer(snapshot.bytes)),
            .init("accepted", .integer(counters.accepted)), .init("finished", .integer(counters.finished)),
            .init("rejected", .integer(counters.rejected)), .init("leases_lost", .integer(counters.leasesLost)),
            .init("dead_letters", .integer(dead)), .init("expired", .integer(counters.expired)),
            .init("roles", .array(snapshot.roles.map(\.json))),
            .init("wait_seconds", quantiles(waits, earlier.first?.waits)),
            .init("job_seconds", quantiles(durations, earlier.first?.durations)),
            .init("clients", .integer(tenants.all)),
            .init(
                "tenants",
                .array(
                    tenants.first.map { tenant in
                        [
                            "name": .string(directory.name(of: tenant.client)), "jobs": .integer(tenant.jobs),
                            "bytes": .integer(tenant.bytes), "connected": .boolean(tenant.isConnected),
                        ]
                    })),
        ]
    }
}

extension Directory {
    fileprivate func name(of client: ClientID) -> String { deployment.roster[client]?.name.description ?? client.short }
}

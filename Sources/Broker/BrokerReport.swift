internal import Exchange
internal import Fabric
internal import Journal
internal import Logging
internal import Observability
internal import Wire
internal import ZeroMQ

/// What the broker tells people and files about its work: counts and bytes, never contents.
struct BrokerReport {
    private let metrics: MetricsLog?
    private let logger: Logger
    /// Names this start of the broker: its counts begin at 0.
    private let broker: BrokerID
    private let bootEpoch: UInt64
    private var lastCounters: BrokerCounters?
    /// A line that named thousands of peers would hold up the loop, and fill a disk.
    private var turns = Turns(size: 256)

    init(metrics: MetricsLog?, broker: BrokerID, bootEpoch: UInt64, logger: Logger) {
        self.metrics = metrics
        self.broker = broker
        self.bootEpoch = bootEpoch
        self.logger = logger
    }

    /// One line, when anything happened since the last.
    mutating func status(_ snapshot: BrokerSnapshot, _ hub: RouterHub) {
        guard snapshot.counters != lastCounters else { return }
        lastCounters = snapshot.counters
        let total = hub.traffic.values.reduce(into: Traffic()) { sum, traffic in
            sum.bytesIn += traffic.bytesIn
            sum.bytesOut += traffic.bytesOut
        }
        var metadata: Logger.Metadata = [
            "peers": "\(snapshot.sessions)", "jobs": "\(snapshot.jobs)", "held": "\(snapshot.bytes.inBytes)",
            "accepted": "\(snapshot.counters.accepted)", "done": "\(snapshot.counters.finished)",
            "in": "\(total.bytesIn.inBytes)", "out": "\(total.bytesOut.inBytes)",
        ]
        for role in snapshot.roles {
            metadata[role.role.rawValue] = "\(role.leased) leased, \(role.queued) queued, \(role.workers) workers"
        }
        if snapshot.counters.leasesLost > 0 { metadata["redelivered"] = "\(snapshot.counters.leasesLost)" }
        logger.info("Status", metadata: metadata)
    }

    /// A job was given up. Why is said here alone: a journal keeps how often, not what workers said.
    func deadLetter(_ key: JobKey, _ job: JobReport?) {
        var metadata: Logger.Metadata = ["job": "\(key.job)", "client": "\(key.client.short)"]
        if let job { metadata["attempts"] = "\(job.attempts)" }
        if let loss = job?.lastLoss {
            metadata["worker"] = "\(loss.worker.short)"
            metadata["why"] = "\(loss.reason)"
        }
        logger.warning("Dead letter: see collafuse jobs", metadata: metadata)
    }

    /// A line of all figures since this start. The last line of each start, added up, is the run's sum; of a peer, the last that names it.
    ///
    /// - Parameter isLast: names every peer; before, when there are many, they have turns.
    mutating func figures(
        _ snapshot: BrokerSnapshot, _ hub: RouterHub, _ directory: Directory, _ journal: JournalState,
        isLast: Bool = false
    ) {
        guard let metrics else { return }
        let counters = snapshot.counters
        let process = ProcessFigures.now()
        let named = isLast ? 0..<hub.traffic.count : turns.take(of: hub.traffic.count)
        let peers = hub.traffic.dropFirst(named.lowerBound).prefix(named.count).map { key, traffic in
            (name: directory.names[key] ?? key.description, side: directory.side(of: key), traffic: traffic)
        }
        metrics.write(
            "broker",
            [
                "broker": .string("\(broker)"), "epoch": .integer(Int(clamping: bootEpoch)),
                "sessions": .integer(snapshot.sessions), "jobs": .integer(snapshot.jobs),
                "bytes_held": .integer(snapshot.bytes), "submitted": .integer(counters.submitted),
                "accepted": .integer(counters.accepted), "rejected": .integer(counters.rejected),
                "leased": .integer(counters.leased), "redelivered": .integer(counters.leasesLost),
                "handed_back": .integer(counters.handedBack), "checkpoints": .integer(counters.checkpoints),
                "resumed": .integer(counters.resumed), "steps_redone": .integer(counters.stepsRedone),
                "finished": .integer(counters.finished),
                "stale": .integer(counters.staleResults), "acknowledged": .integer(counters.acknowledged),
                "cancelled": .integer(counters.cancelled), "expired": .integer(counters.expired),
                "dead_letters": .integer(counters.deadLetters), "garbage": .integer(counters.garbage),
                "refused": .integer(hub.refused), "peak_memory": .integer(process.peakMemory),
                "cpu_seconds": .number(process.cpuSeconds),
                "journal_commits": .integer(journal.figures.commits),
                "journal_entries": .integer(journal.figures.entries),
                "journal_bytes": .integer(journal.figures.bytes),
                "journal_seconds": .number(journal.figures.seconds),
                "journal_longest_commit": .number(journal.figures.longest),
                "journal_failures": .integer(journal.figures.failures),
                "roles": .array(snapshot.roles.map(\.json)),
                "peers": .array(
                    peers.sorted { $0.name < $1.name }.map { peer in
                        [
                            "name": .string(peer.name),
                            "side": .string(peer.side.map { $0 == .client ? "client" : "worker" } ?? "gone"),
                            "messages_in": .integer(peer.traffic.messagesIn),
                            "messages_out": .integer(peer.traffic.messagesOut),
                            "bytes_in": .integer(peer.traffic.bytesIn), "bytes_out": .integer(peer.traffic.bytesOut),
                        ]
                    }),
            ])
    }
}

extension BrokerSnapshot.Role {
    var json: JSONValue {
        [
            "role": .string(role.rawValue), "workers": .integer(workers), "slots": .integer(slots),
            "leased": .integer(leased), "queued": .integer(queued),
        ]
    }
}

/// Goes through a collection that may grow, so many of it at a time.
struct Turns {
    let size: Int
    private var next = 0

    init(size: Int) { self.size = size }

    mutating func take(of count: Int) -> Range<Int> {
        let first = count > size && next < count ? next : 0
        next = min(first + size, count)
        return first..<next
    }
}

internal import Exchange
internal import Foundation
internal import Journal
internal import Wire

/// Whoever takes part in the rounds in which as much as possible goes through.
enum Side: Hashable, CaseIterable, Sendable {
    case proxy, memory, durable
    case rabbitmq, redis, nats

    /// Rows that need it.
    var rows: [BrokerBench.Row] {
        switch self {
        case .proxy: [.memory, .durable]
        case .memory: [.memory, .latency, .scaling]
        case .durable: [.durable, .durableLatency, .rabbitmq, .redis, .nats]
        case .rabbitmq: [.rabbitmq]
        case .redis: [.redis]
        case .nats: [.nats]
        }
    }

    var peer: Peer.Kind? {
        switch self {
        case .proxy, .memory, .durable: nil
        case .rabbitmq: .rabbitmq
        case .redis: .redis
        case .nats: .nats
        }
    }
}

/// Jobs a second, by round.
struct Throughput: Sendable {
    var rates: [Side: [Double]] = [:]
    /// Of the process in the middle, for one job.
    var microseconds: [Side: [Double]] = [:]
    /// Of the clients' and workers' side.
    var ends: [Side: [Double]] = [:]
    var commits: [Double] = []
    /// Peers that failed, and how.
    var failed: [Side: String] = [:]

    func rate(_ side: Side) -> Double { median(rates[side] ?? []) }

    func figures(of rows: Set<BrokerBench.Row>) -> [BrokerFigures.Figure] {
        func figure(
            _ row: BrokerBench.Row, _ name: String, _ ours: Side, _ theirs: Side, must: Double?, aim: Double,
            note: String = ""
        ) -> BrokerFigures.Figure? {
            guard rows.contains(row), let mine = rates[ours], let others = rates[theirs] else { return nil }
            let ratio = median(zip(mine, others).map { $0 / $1 })
            return BrokerFigures.Figure(
                name, ours: median(mine), theirs: median(others), unit: "jobs/s", ratio: ratio, seen: ratio,
                must: must, aim: aim, note: note)
        }
        func costs(_ ours: Side) -> String {
            func cost(_ side: Side) -> String {
                "\(median(microseconds[side] ?? []).rounded(to: 0)) + \(median(ends[side] ?? []).rounded(to: 0)) µs"
            }
            return "CPU per job, in the middle and at both ends: \(cost(ours)), zmq_proxy \(cost(.proxy))"
        }
        return [
            figure(
                .memory, "zmq_proxy 48 KiB memory", .memory, .proxy, must: 0.75, aim: 0.95, note: costs(.memory)),
            figure(
                .durable, "zmq_proxy 48 KiB durable", .durable, .proxy, must: 0.35, aim: 0.6,
                note: costs(.durable) + ", commit \((median(commits) * 1e3).rounded(to: 2)) ms"),
            figure(.rabbitmq, "rabbitmq durable", .durable, .rabbitmq, must: 1, aim: 2),
            figure(.redis, "redis durable", .durable, .redis, must: 1, aim: 2),
            figure(
                .nats, "nats file", .durable, .nats, must: nil, aim: 1,
                note: "a weaker promise: it does not fsync each message"),
        ].compactMap { $0 }
    }
}

extension Bench {
    func throughput(_ sides: [Side]) async throws -> Throughput {
        var result = Throughput()
        for round in 1...settings.rounds {
            for side in sides where result.failed[side] == nil {
                let load = Load(
                    pace: .inFlight(settings.inFlight), seconds: settings.seconds, warmUp: settings.warmUp)
                let rate: Double
                if let peer = side.peer {
                    do { rate = try await Peer(peer, settings).rate(load, in: folder) } catch let fault as BenchFault {
                        // Another's failure takes nothing from what else is measured.
                        result.failed[side] = fault.firstLine
                        result.rates[side] = nil
                        continue
                    }
                } else {
                    let seen = try await measure(
                        side == .proxy ? .proxy : side == .memory ? .memory : .durable, load)
                    rate = seen.outcome.rate
                    result.microseconds[side, default: []].append(seen.microseconds)
                    result.ends[side, default: []].append(seen.ends)
                    if side == .durable { result.commits.append(seen.commit) }
                }
                result.rates[side, default: []].append(rate)
                say("round \(round)/\(settings.rounds)  \(side): \(rate.rounded(to: 0)) jobs/s")
            }
        }
        return result
    }

    /// The same constant rate through both: half of the least that the broker did in any round, so that it is no more than half of what
    /// it can do whatever the machine does meanwhile.
    func latency(_ throughput: Throughput, isDurable: Bool) async throws -> BrokerFigures.Figure {
        let between: Between = isDurable ? .durable : .memory
        let rate = (throughput.rates[isDurable ? .durable : .memory]?.min() ?? 0) / 2
        let load = Load(pace: .rate(rate), seconds: settings.seconds, warmUp: settings.warmUp)
        var ours: [Outcome] = [], theirs: [Outcome] = [], commits: [Double] = [], alone: [Double] = []
        for round in 1...settings.rounds {
            theirs.append(try await measure(.proxy, load).outcome)
            let seen = try await measure(between, load)
            ours.append(seen.outcome)
            commits.append(seen.commit * 1e3)
            if isDurable { alone.append(try await commitAlone(bytes: load.bytes) * 1e3) }
            func times(_ outcome: Outcome) -> String {
                "\(outcome.quantile(0.5).rounded(to: 2)), \(outcome.quantile(0.99).rounded(to: 2)) ms "
                    + "(sent \(outcome.lag(0.99).rounded(to: 2)) ms late)"
            }
            say(
                "round \(round)/\(settings.rounds)  p50, p99 at \(rate.rounded(to: 0)) jobs/s: \(between) \(times(seen.outcome)), "
                    + "proxy \(times(theirs[theirs.count - 1]))"
                    + (isDurable
                        ? "; commit \(commits[commits.count - 1].rounded(to: 2)), alone \(alone[alone.count - 1].rounded(to: 2)) ms"
                        : ""))
        }
        func added(_ share: Double) -> Double {
            median(zip(ours, theirs).map { $0.quantile(share) - $1.quantile(share) })
        }
        let commit = median(commits)
        return BrokerFigures.Figure(
            "p99 at half load \(between)", ours: median(ours.map { $0.quantile(0.99) }),
            theirs: median(theirs.map { $0.quantile(0.99) }), unit: "ms",
            ratio: median(zip(ours, theirs).map { $0.quantile(0.99) / $1.quantile(0.99) }), seen: added(0.99),
            must: isDurable ? 2 * commit + 1 : 1, aim: isDurable ? commit + 0.3 : 0.3, isCost: true,
            note: "added, at \(rate.rounded(to: 0)) jobs/s; the median job waits \(added(0.5).rounded(to: 2)) ms "
                + "longer; clients send up to \(median(ours.map { $0.lag(0.99) }).rounded(to: 2)) ms late"
                + (isDurable
                    ? "; a commit takes \(commit.rounded(to: 2)) ms, alone \(median(alone).rounded(to: 2)) ms" : ""))
    }

    /// Seconds of a commit that stores a job and a result of so many bytes, on the same disk, when nothing else is done.
    private func commitAlone(bytes: Int) async throws -> Double {
        let file = folder.appending(path: "alone/journal.sqlite")
        try? FileManager.default.removeItem(at: file.deletingLastPathComponent())
        let keys = keys
        return try await onOwnThread("commits") {
            let store = try SQLiteStore(file)
            _ = try store.recover()
            let client = try keys.client(0), clock = ContinuousClock()
            var random = SystemRandomNumberGenerator()
            let sealed = [UInt8](repeating: 0x5A, count: bytes), header = [UInt8](repeating: 0x5A, count: 200)
            var former: JobKey?
            var times: [Double] = []
            for _ in 0..<100 {
                let envelope = keys.envelope(client, JobID.random(using: &random))
                var entries: [JournalEntry] = [.accepted(envelope.key, envelope: envelope.bytes, sealed: sealed)]
                if let former { entries.append(.finished(former, header: header, sealed: sealed, keptUntil: 0)) }
                former = envelope.key
                let start = clock.now
                try store.commit(entries)
                times.append((clock.now - start) / .seconds(1))
            }
            return median(times)
        }
    }
}

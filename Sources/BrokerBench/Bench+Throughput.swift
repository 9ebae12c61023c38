internal import Foundation

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
    /// Of a job and its result, how many the journal had to write.
    var stored: [Double] = []
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
                note: costs(.durable)
                    + ", commit \((median(commits) * 1e3).rounded(to: 2)) ms, of a job and its result "
                    + "\(median(stored).rounded(to: 2)) written"),
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
                    if let journal = seen.journal { result.commits.append(journal.commit) }
                    if let stored = seen.stored { result.stored.append(stored) }
                }
                result.rates[side, default: []].append(rate)
                say("round \(round)/\(settings.rounds)  \(side): \(rate.rounded(to: 0)) jobs/s")
            }
        }
        return result
    }
}

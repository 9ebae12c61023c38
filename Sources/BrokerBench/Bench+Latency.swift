internal import Foundation

/// Waiting times at half of what goes through.
extension Bench {
    /// The same constant rate through both: half of the least that the broker did in any round, so that it is no more than half of what
    /// it can do whatever the machine does meanwhile. Both of a pair run one right after the other, and either is first in every second pair: of
    /// a machine that gets slower they have the same. What is said is the median of the pairs' differences.
    func latency(_ throughput: Throughput, isDurable: Bool) async throws -> BrokerFigures.Figure {
        let between: Between = isDurable ? .durable : .memory
        let rate = (throughput.rates[isDurable ? .durable : .memory]?.min() ?? 0) / 2
        let load = Load(pace: .rate(rate), seconds: settings.seconds, warmUp: settings.warmUp)
        var ours: [Seen] = [], theirs: [Seen] = []
        let pairs = 2 * settings.rounds
        for pair in 1...pairs {
            let isFirst = pair.isMultiple(of: 2)
            if isFirst { ours.append(try await measure(between, load)) }
            theirs.append(try await measure(.proxy, load))
            if !isFirst { ours.append(try await measure(between, load)) }
            func words(_ seen: Seen) -> String {
                let outcome = seen.outcome
                return "\(outcome.quantile(0.5).rounded(to: 2)), \(outcome.quantile(0.99).rounded(to: 2)) ms "
                    + "(sent \(outcome.lag(0.99).rounded(to: 2)) ms late, \((seen.stolen * 100).rounded(to: 1)) % stolen)"
            }
            say(
                "pair \(pair)/\(pairs)  p50, p99 at \(rate.rounded(to: 0)) jobs/s: \(between) \(words(ours[pair - 1])), "
                    + "proxy \(words(theirs[pair - 1]))")
        }
        func added(_ value: (Outcome) -> Double) -> [Double] {
            zip(ours, theirs).map { value($0.outcome) - value($1.outcome) }
        }
        let p99 = added { $0.quantile(0.99) }.sorted(), quarter = pairs / 4
        let commit = median(ours.compactMap { $0.journal.map { $0.commit * 1e3 } })
        let stolen = median((ours + theirs).map { $0.stolen * 100 })
        var note = [
            "added, at \(rate.rounded(to: 0)) jobs/s",
            "half of the \(pairs) pairs between \(p99[quarter].rounded(to: 2)) and \(p99[pairs - 1 - quarter].rounded(to: 2))",
            "counted from when a job was sent and not from when it was due \(median(added { $0.answer(0.99) }).rounded(to: 2))",
            "of p95 \(median(added { $0.quantile(0.95) }).rounded(to: 2)), of p50 \(median(added { $0.quantile(0.5) }).rounded(to: 2))",
            "CPU per job \(median(ours.map(\.microseconds)).rounded(to: 0)) µs, zmq_proxy \(median(theirs.map(\.microseconds)).rounded(to: 0))",
            "the machine's host took \(stolen.rounded(to: 1)) % of the cores' time",
        ]
        if isDurable {
            note += [
                "a commit takes \(commit.rounded(to: 2))",
                "of a job and its result \(median(ours.compactMap(\.stored)).rounded(to: 2)) are written",
            ]
        }
        return BrokerFigures.Figure(
            "p99 at half load \(between)", ours: median(ours.map { $0.outcome.quantile(0.99) }),
            theirs: median(theirs.map { $0.outcome.quantile(0.99) }), unit: "ms",
            ratio: median(zip(ours, theirs).map { $0.outcome.quantile(0.99) / $1.outcome.quantile(0.99) }),
            seen: median(p99),
            must: isDurable ? 2 * commit + 1 : 1, aim: isDurable ? commit + 0.3 : 0.3, isCost: true,
            note: note.joined(separator: "; "))
    }
}

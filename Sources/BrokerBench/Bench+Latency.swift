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
        var ours: [Outcome] = [], theirs: [Outcome] = [], commits: [Double] = [], stored: [Double] = []
        var floor: [Double] = [], stolen: [Double] = [], costs: [Double] = []
        let pairs = 2 * settings.rounds
        for pair in 1...pairs {
            let isFirst = pair.isMultiple(of: 2)
            var before: Seen?
            if isFirst { before = try await measure(between, load) }
            theirs.append(try await measure(.proxy, load).outcome)
            let seen: Seen
            if let before { seen = before } else { seen = try await measure(between, load) }
            ours.append(seen.outcome)
            costs.append(seen.microseconds)
            stolen.append(seen.stolen * 100)
            if let journal = seen.journal, let share = seen.stored {
                commits.append(journal.commit * 1e3)
                stored.append(share)
                // A job and its result.
                floor.append(
                    try await onOwnThread("floor") {
                        Outcome.quantile(
                            0.99,
                            of: try DiskFloor.waits(of: 2 * load.bytes, at: rate, seconds: load.seconds, in: folder))
                    })
            }
            func times(_ outcome: Outcome) -> String {
                "\(outcome.quantile(0.5).rounded(to: 2)), \(outcome.quantile(0.99).rounded(to: 2)) ms "
                    + "(sent \(outcome.lag(0.99).rounded(to: 2)) ms late)"
            }
            say(
                "pair \(pair)/\(pairs)  p50, p99 at \(rate.rounded(to: 0)) jobs/s: \(between) \(times(seen.outcome)), "
                    + "proxy \(times(theirs[theirs.count - 1]))"
                    + (commits.last.map {
                        "; commit \($0.rounded(to: 2)), disk alone \(floor[pair - 1].rounded(to: 2)) ms"
                    } ?? "") + "; stolen \(seen.stolen.rounded(to: 3))")
        }
        func added(_ value: (Outcome) -> Double) -> [Double] {
            zip(ours, theirs).map { value($0) - value($1) }
        }
        let differences = added { $0.quantile(0.99) }, p99 = differences.sorted(), commit = median(commits),
            quarter = pairs / 4
        var note = [
            "added, at \(rate.rounded(to: 0)) jobs/s",
            "half of the \(pairs) pairs between \(p99[quarter].rounded(to: 2)) and \(p99[pairs - 1 - quarter].rounded(to: 2))",
            "counted from when a job was sent and not from when it was due \(median(added { $0.answer(0.99) }).rounded(to: 2))",
            "CPU per job \(median(costs).rounded(to: 0)) µs",
            "the host took \(median(stolen).rounded(to: 1)) % of the cores' time",
            "of p95 \(median(added { $0.quantile(0.95) }).rounded(to: 2)), of p50 \(median(added { $0.quantile(0.5) }).rounded(to: 2))",
        ]
        if isDurable {
            note += [
                "a commit takes \(commit.rounded(to: 2))",
                "of a job and its result \(median(stored).rounded(to: 2)) are written",
                "the disk alone, given the same bytes at the same pace, makes a job wait \(median(floor).rounded(to: 2))",
                "less that of the same pair \(median(zip(differences, floor).map { $0 - $1 }).rounded(to: 2))",
            ]
        }
        return BrokerFigures.Figure(
            "p99 at half load \(between)", ours: median(ours.map { $0.quantile(0.99) }),
            theirs: median(theirs.map { $0.quantile(0.99) }), unit: "ms",
            ratio: median(zip(ours, theirs).map { $0.quantile(0.99) / $1.quantile(0.99) }), seen: median(p99),
            must: isDurable ? 2 * commit + 1 : 1, aim: isDurable ? commit + 0.3 : 0.3, isCost: true,
            note: note.joined(separator: "; "))
    }
}

internal import Foundation
internal import Observability
internal import Topology

/// A load test's outcome, read: rates, times, what went wrong, who got how much.
package struct Report: Sendable {
    package let outcome: Outcome

    package init(_ outcome: Outcome) { self.outcome = outcome }

    var tally: Tally { outcome.tally }
    var counts: Tally.Counts { tally.counts }

    /// Done, of what was offered, in 0…1; nil: nothing was.
    package var achieved: Double? { counts.offered == 0 ? nil : Double(counts.done) / Double(counts.offered) }
    /// Jobs a second that came due, over the time in which they could.
    package var offeredRate: Double { Double(counts.offered) / max(outcome.stages, 1e-9) }
    /// Right results in time, a second, over the same time, or until the last one if that came later.
    package var achievedRate: Double { Double(counts.done) / max(outcome.stages, outcome.lastDone, 1e-9) }

    /// Jain's index of what tenants got for what they asked: (Σx)² / (n·Σx²), 1 when all got the same part; nil: nobody got anything.
    package var fairness: Double? {
        Self.jain(
            tally.tenants.filter { $0.counts.offered > 0 }.map { Double($0.counts.done) / Double($0.counts.offered) })
    }

    /// The same over a tenant's clients, of right results.
    func fairness(within tenant: Int) -> Double? { Self.jain(outcome.done[tenant].map(Double.init)) }

    static func jain(_ values: [Double]) -> Double? {
        let sum = values.reduce(0, +), squares = values.reduce(0) { $0 + $1 * $1 }
        return squares > 0 ? sum * sum / (Double(values.count) * squares) : nil
    }

    static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100),
    ]

    /// The parts of a job's time, as they are told.
    var times: [(name: String, latency: Latency)] {
        [
            ("end-to-end", tally.endToEnd), ("accept", tally.accept), ("queue", tally.queue),
            ("service", tally.service), ("lag", tally.lag), ("connect", tally.connect),
        ]
    }

    /// nil: there is nothing to tell it from.
    func value(of measure: Goals.Goal.Measure) -> Double? {
        switch measure {
        case .time(let part, let percentile): time(part).percentile(percentile)
        case .achieved: achieved
        case .fairness: fairness
        case .count(let name): Double(count(name))
        }
    }

    func time(_ part: String) -> Latency { times.first { $0.name == part }?.latency ?? Latency() }

    private func count(_ name: String) -> Int {
        switch name {
        case "held": counts.held
        case "lost": counts.lost
        case "duplicates": tally.duplicates
        case "timeouts": counts.timeouts
        case "refused": counts.refused
        case "ended": counts.ended
        case "wrong": counts.wrong
        case "unanswered": counts.unanswered
        default: tally.rejects.values.reduce(0, +)
        }
    }

    // MARK: for people

    static func rounded(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

    static func rounded(_ value: Double?, _ digits: Int) -> String { value.map { rounded($0, digits) } ?? "–" }

    static func percent(_ share: Double?) -> String { share.map { rounded($0 * 100, 2) + "%" } ?? "–" }

    /// With three digits.
    static func milliseconds(_ value: Double?) -> String {
        guard let value else { return "–" }
        return switch value {
        case ..<1: rounded(value * 1_000, 0) + " µs"
        case ..<10: rounded(value, 2) + " ms"
        case ..<100: rounded(value, 1) + " ms"
        case ..<10_000: rounded(value, 0) + " ms"
        default: rounded(value / 1_000, 1) + " s"
        }
    }

    package var text: String {
        var lines: [String] = []
        let plan = outcome.plan, tally = tally
        lines.append(
            "\(outcome.connections) clients, \(outcome.threads) thread\(outcome.threads == 1 ? "" : "s"), "
                + "\(Self.rounded(outcome.elapsed, 1)) s, \(plan.arrivals.rawValue) arrivals")
        if outcome.stages < plan.duration.seconds {
            lines.append(
                "ended early: jobs came due for \(Self.rounded(outcome.stages, 1)) of \(Self.rounded(plan.duration.seconds, 1)) s"
            )
        }
        lines.append(
            "offered  \(counts.offered) jobs, \(Self.rounded(offeredRate, 1))/s    "
                + "done  \(counts.done), \(Self.rounded(achievedRate, 1))/s, \(Self.percent(achieved))")
        lines.append("")
        lines.append(Self.row(["time"] + Self.percentiles.map(\.name) + ["jobs", "missing"]))
        for (name, latency) in times where !latency.isEmpty {
            lines.append(
                Self.row(
                    [name] + Self.percentiles.map { Self.milliseconds(latency.percentile($0.value)) }
                        + ["\(latency.count)", "\(latency.missing)"]))
        }
        if let missing = missingWords { lines.append(missing) }
        lines.append("")
        lines.append(Self.row(["tenant", "clients", "offered", "done", "p50", "p99", "max", "clients' fairness"]))
        for (place, tenant) in tally.tenants.enumerated() {
            let all = tenant.endToEnd
            lines.append(
                Self.row([
                    plan.tenants[place].name, "\(plan.tenants[place].clients)", "\(tenant.counts.offered)",
                    "\(tenant.counts.done)", Self.milliseconds(all.percentile(50)),
                    Self.milliseconds(all.percentile(99)),
                    Self.milliseconds(all.percentile(100)), Self.rounded(fairness(within: place), 3),
                ]))
        }
        lines.append("")
        lines.append(
            "late \(counts.late)   wrong \(counts.wrong)   refused \(counts.refused)   ended \(Self.list(tally.ends))   "
                + "lost \(counts.lost)   unanswered \(counts.unanswered)   not sent here \(counts.held)")
        lines.append(
            "timeouts \(counts.timeouts)   duplicates \(tally.duplicates)   redelivered \(tally.redelivered)   "
                + "rejected \(Self.list(tally.rejects))   sessions lost \(tally.sessionsLost)   churned \(tally.churned)   "
                + "fairness \(Self.rounded(fairness, 3))")
        lines.append(
            "generator  \(Self.rounded(outcome.cpuSeconds, 1)) s of CPU, \(Self.rounded(100 * outcome.cpuSeconds / max(outcome.elapsed, 1e-9), 0))% of a core, "
                + "sent \(Self.rounded(Double(tally.bytesSent) / 1e6, 1)) MB, received \(Self.rounded(Double(tally.bytesReceived) / 1e6, 1)) MB"
        )
        if counts.held > 0 {
            lines.append(
                "\(counts.held) jobs were held back here, since too many or too much was under way: results come too slowly, "
                    + "or this generator is too slow for them")
        }
        if tally.strays > 0 {
            lines.append("\(tally.strays) results were of an earlier test's jobs; they count nowhere")
        }
        if let wrong = tally.firstWrong { lines.append("the first wrong result: \(wrong)") }
        return lines.joined(separator: "\n")
    }

    /// What the times say of jobs that have none.
    var missingWords: String? {
        let missing = tally.endToEnd.missing
        guard missing > 0 else { return nil }
        return
            "\(missing) of \(counts.offered) jobs have no right result; they are missing in what they did not come to, and count there with "
            + "the time-out of \(Self.milliseconds(outcome.plan.timeout.seconds * 1_000)), or with what they waited if that is longer"
    }

    private static func row(_ cells: [String]) -> String { TextTable.row(cells, first: 12, others: 11) }

    private static func list(_ counts: [String: Int]) -> String {
        counts.isEmpty ? "0" : counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }
}

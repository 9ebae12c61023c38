internal import Foundation
internal import Observability
internal import Topology

extension Report {
    /// All figures, times in milliseconds.
    package var json: String {
        let plan = outcome.plan
        return JSONValue.object([
            .init(
                "plan",
                [
                    "arrivals": .string(plan.arrivals.rawValue), "seconds": .number(plan.duration.seconds),
                    "clients": .integer(plan.clients), "seed": .integer(Int(truncatingIfNeeded: plan.seed)),
                    "threads": .integer(outcome.threads),
                ]),
            .init("counts", .object(fields(counts))),
            .init(
                "rate",
                [
                    "offered": .number(offeredRate), "achieved": .number(achievedRate),
                    "achieved_share": Self.number(achieved), "seconds": .number(outcome.stages),
                ]),
            .init("milliseconds", .object(times.map { .init($0.name, percentileFields($0.latency)) })),
            .init(
                "tenants",
                .array(
                    tally.tenants.enumerated().map { place, tenant in
                        .object(
                            [.init("name", .string(plan.tenants[place].name))] + fields(tenant.counts) + [
                                .init("milliseconds", percentileFields(tenant.endToEnd)),
                                .init("fairness_within", Self.number(fairness(within: place))),
                            ])
                    })),
            .init("fairness", Self.number(fairness)),
            .init(
                "rejected", .object(tally.rejects.sorted { $0.key < $1.key }.map { .init($0.key, .integer($0.value)) })),
            .init("ended", .object(tally.ends.sorted { $0.key < $1.key }.map { .init($0.key, .integer($0.value)) })),
            .init("duplicates", .integer(tally.duplicates)), .init("strays", .integer(tally.strays)),
            .init("redelivered", .integer(tally.redelivered)),
            .init("sessions_lost", .integer(tally.sessionsLost)), .init("churned", .integer(tally.churned)),
            .init(
                "generator",
                [
                    "cpu_seconds": .number(outcome.cpuSeconds), "seconds": .number(outcome.elapsed),
                    "bytes_sent": .integer(tally.bytesSent), "bytes_received": .integer(tally.bytesReceived),
                ]),
        ]).text
    }

    private func fields(_ counts: Tally.Counts) -> [JSONValue.Field] {
        [
            .init("offered", .integer(counts.offered)), .init("sent", .integer(counts.sent)),
            .init("accepted", .integer(counts.accepted)), .init("done", .integer(counts.done)),
            .init("late", .integer(counts.late)), .init("wrong", .integer(counts.wrong)),
            .init("timeouts", .integer(counts.timeouts)), .init("refused", .integer(counts.refused)),
            .init("ended", .integer(counts.ended)), .init("lost", .integer(counts.lost)),
            .init("unanswered", .integer(counts.unanswered)), .init("held", .integer(counts.held)),
        ]
    }

    private func percentileFields(_ latency: Latency) -> JSONValue {
        .object(
            Self.percentiles.map { .init($0.name, Self.number(latency.percentile($0.value))) }
                + [
                    .init("count", .integer(Int(clamping: latency.count))), .init("missing", .integer(latency.missing)),
                ])
    }

    private static func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }

    /// A line a second; a time is empty where no job ended.
    package var csv: String {
        let head =
            "time_s,offered,sent,accepted,done,late,wrong,timeouts,refused,ended,lost,unanswered,held,rejects,under_way,p50_ms,p99_ms,max_ms,lag_p99_ms"
        let lines = outcome.seconds.map { second in
            let counts = second.counts
            let whole = [
                counts.offered, counts.sent, counts.accepted, counts.done, counts.late, counts.wrong, counts.timeouts,
                counts.refused, counts.ended, counts.lost, counts.unanswered, counts.held, second.rejects,
                second.underWay,
            ]
            return
                ([Self.rounded(second.time, 3)] + whole.map(String.init)
                + [second.p50, second.p99, second.max, second.lag99].map { $0.map { Self.rounded($0, 3) } ?? "" })
                .joined(separator: ",")
        }
        return ([head] + lines).joined(separator: "\n") + "\n"
    }

    /// The distribution of end-to-end times, for HdrHistogram's plotter.
    package var hdr: String { tally.endToEnd.distribution }
}

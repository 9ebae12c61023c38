internal import Foundation
internal import Topology

extension Report {
    /// One page that needs nothing beside it.
    package var html: String {
        let seconds = outcome.seconds
        func line(_ name: String, _ value: (Second) -> Double) -> Plot.Line {
            Plot.Line(name: name, points: seconds.map { ($0.time, value($0)) })
        }
        func time(_ name: String, _ value: (Second) -> Double?) -> Plot.Line {
            Plot.Line(name: name, points: seconds.compactMap { second in value(second).map { (second.time, $0) } })
        }
        func rate(_ count: Int, _ second: Second) -> Double { Double(count) / max(second.length, 1e-9) }
        let plots = [
            Plot(
                title: "Rates", unit: "jobs a second",
                lines: [
                    line("offered") { rate($0.counts.offered, $0) }, line("accepted") { rate($0.counts.accepted, $0) },
                    line("done") { rate($0.counts.done, $0) }, line("timeouts") { rate($0.counts.timeouts, $0) },
                    line("rejects") { rate($0.rejects, $0) },
                ]),
            Plot(
                title: "End-to-end time", unit: "milliseconds",
                lines: [
                    time("p50", \.p50), time("p99", \.p99), time("max", \.max), time("lag p99", \.lag99),
                ], scale: .logarithmic),
            Plot(
                title: "By percentile", unit: "milliseconds",
                lines: times.filter { !$0.latency.isEmpty && $0.name != "connect" }.map(curve), scale: .logarithmic,
                marks: Self.marks, xName: "percentile"),
            Plot(title: "Under way", unit: "jobs", lines: [line("jobs") { Double($0.underWay) }]),
        ]
        return """
            <!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>CollaFuse load test</title><style>
            body{font:15px/1.45 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222;background:#fff}
            svg{width:100%;margin:.5em 0 1.5em}svg text{font-size:12px;fill:#444}svg .title{font-size:14px;font-weight:600;fill:#222}
            .grid{stroke:#ddd}table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;text-align:right;border-bottom:1px solid #ddd}
            td:first-child,th:first-child{text-align:left}pre{overflow-x:auto;background:#f6f6f6;padding:1em}
            </style></head><body><h1>Load test</h1>
            <p>\(outcome.connections) clients offered \(counts.offered) jobs, \(Self.rounded(offeredRate, 1)) a second;
            \(counts.done) came back right and in time, \(Self.percent(achieved)).
            Timed out: \(counts.timeouts). Lost: \(counts.lost). Duplicates: \(tally.duplicates). Wrong: \(counts.wrong).</p>
            <p>Times are counted from the moment at which a job was due, whether it could be sent then or not.
            \(missingWords.map { $0 + "." } ?? "")</p>
            \(table)
            \(plots.map(\.svg).joined(separator: "\n"))
            <h2>The report</h2><pre>\(Plot.escaped(text))</pre></body></html>

            """
    }

    private var table: String {
        let head = (["time"] + Self.percentiles.map(\.name) + ["jobs", "missing"]).map { "<th>\($0)</th>" }.joined()
        let rows = times.filter { !$0.latency.isEmpty }.map { name, latency in
            let cells = Self.percentiles.map { Self.milliseconds(latency.percentile($0.value)) }
            let all = [name] + cells + ["\(latency.count)", "\(latency.missing)"]
            return "<tr>\(all.map { "<td>\($0)</td>" }.joined())</tr>"
        }
        return "<table><tr>\(head)</tr>\(rows.joined())</table>"
    }

    /// Over −log₁₀(1 − p), so that each further nine takes the same room.
    private func curve(_ name: String, _ latency: Latency) -> Plot.Line {
        let nines = min(5, log10(Double(max(latency.count, 10))))
        let points = stride(from: 0, through: nines, by: 0.05).compactMap { x in
            latency.percentile(100 * (1 - pow(10, -x))).map { (x: x, y: $0) }
        }
        return Plot.Line(name: name, points: points)
    }

    private static let marks: [(x: Double, name: String)] = [
        (0, "0"), (log10(2), "50"), (1, "90"), (2, "99"), (3, "99.9"), (4, "99.99"), (5, "99.999"),
    ]
}

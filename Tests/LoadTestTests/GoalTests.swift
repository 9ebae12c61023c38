import Testing
import Topology

@testable import LoadTest

/// Goals and figures, from an outcome that is written down here.
struct GoalTests {
    /// Two tenants: 100 jobs that took 1 … 100 ms, and 50 of which 25 were done in 10 ms.
    private var report: Report {
        var tally = Tally(tenants: 2)
        for time in 1...100 { tally.tenants[0].endToEnd.record(Int64(time) * 1_000_000) }
        for _ in 0..<25 { tally.tenants[1].endToEnd.record(10_000_000) }
        tally.tenants[0].counts.offered = 100
        tally.tenants[0].counts.done = 100
        tally.tenants[1].counts.offered = 50
        tally.tenants[1].counts.done = 25
        tally.tenants[1].counts.timeouts = 25
        tally.lag.record(500_000)
        tally.rejects = ["tooManyJobs": 7]
        let plan = LoadPlan(
            stages: [.init(duration: .seconds(10), from: 15, to: 15)],
            tenants: [.init(name: "a", clients: 2), .init(name: "b", clients: 4)])
        return Report(
            Outcome(
                plan: plan, tally: tally, seconds: [], done: [[50, 50], [25, 0, 0, 0]], elapsed: 10, cpuSeconds: 1,
                connections: 6, threads: 1))
    }

    @Test(arguments: [
        ("p50<100ms", true), ("max<=100ms", false), ("max<=101ms", true), ("p99<=99.1ms", true), ("p99<98ms", false),
        ("lag.p99<1ms,timeouts=25", true), ("timeouts=0", false), ("lost=0, duplicates=0", true), ("rejected<7", false),
        ("achieved>=83%", true), ("achieved>84%", false), ("fairness>0.89", true), ("fairness>0.91", false),
    ])
    func goalsAreJudged(_ text: String, _ isReached: Bool) throws {
        #expect(try Goals(text).missed(in: report).isEmpty == isReached, "\(text)")
    }

    @Test(arguments: [
        "", "p99", "p99<", "p99<50", "p101<1ms", "x.p99<1ms", "lost<1ms", "lost=", "achieved>=1", "fairness>much",
        "p99<50ms,", "mean<1ms",
    ])
    func whatIsNoGoalIsRefused(_ text: String) {
        #expect(throws: LoadTestError.self) { try Goals(text) }
    }

    /// Jain's index: 1 for equal parts, 1/n when one has all.
    @Test func fairnessIsJains() {
        #expect(Report.jain([3, 3, 3]) == 1)
        #expect(Report.jain([5, 0, 0, 0]) == 0.25)
        #expect(abs(Report.jain([1, 0.5]) - 0.9) < 1e-12)
        #expect(report.fairness(within: 0) == 1)
        #expect(report.fairness(within: 1) == 0.25)
    }

    @Test func theReportSaysItAll() throws {
        let text = report.text
        for word in ["150 jobs, 15.0/s", "125", "83.33%", "7 tooManyJobs", "timeouts 25", "end-to-end", "lag"] {
            #expect(text.contains(word), "\(word) in:\n\(text)")
        }
        #expect(report.json.contains(#""achieved_share":0.8333"#))
        #expect(report.html.contains("<pre>6 clients"))
        #expect(report.hdr.contains("1/(1-Percentile)"))
    }
}

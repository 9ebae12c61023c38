import Foundation
import Testing
import Topology

@testable import LoadTest

/// Goals and figures, from outcomes that are written down here.
struct GoalTests {
    private static let plan = LoadPlan(
        stages: [.init(duration: .seconds(10), from: 15, to: 15)],
        tenants: [.init(name: "a", clients: 2), .init(name: "b", clients: 4)])

    private static func report(
        _ tally: Tally, done: [[Int]] = [[0, 0], [0, 0, 0, 0]], stages: Double = 10
    ) -> Report {
        Report(
            Outcome(
                plan: plan, tally: tally, seconds: [], done: done, stages: stages, lastDone: stages, elapsed: stages,
                cpuSeconds: 1, connections: 6, threads: 1))
    }

    /// Two tenants: 100 jobs that took 1 … 100 ms, and 50 of which 25 were done in 10 ms and 25 given up after 30 s.
    private var report: Report {
        var tally = Tally(tenants: 2)
        for time in 1...100 { tally.tenants[0].endToEnd.record(Int64(time) * 1_000_000) }
        for _ in 0..<25 { tally.tenants[1].endToEnd.record(10_000_000) }
        for _ in 0..<25 { tally.tenants[1].endToEnd.miss(after: 30_000_000_000) }
        tally.tenants[0].counts.offered = 100
        tally.tenants[0].counts.done = 100
        tally.tenants[1].counts.offered = 50
        tally.tenants[1].counts.done = 25
        tally.tenants[1].counts.timeouts = 25
        tally.tenants[1].counts.lost = 25
        for _ in 0..<150 { tally.lag.record(500_000) }
        for _ in 0..<125 { tally.queue.record(2_000_000) }
        tally.rejects = ["tooManyJobs": 7]
        return Self.report(tally, done: [[50, 50], [25, 0, 0, 0]])
    }

    @Test(arguments: [
        ("p50<100ms", true), ("p50<30ms", false), ("p80<96ms", true), ("p80<94ms", false), ("p99<1s", false),
        ("p99>1s,max>1s", false),
        ("lag.p99<1ms,timeouts=25", true), ("timeouts=0", false), ("lost=25, duplicates=0", true), ("lost=0", false),
        ("rejected<7", false), ("held=0", true), ("achieved>=83%", true), ("achieved>84%", false),
        ("fairness>0.89", true), ("fairness>0.91", false),
    ])
    func goalsAreJudged(_ text: String, _ isReached: Bool) throws {
        #expect(try Goals(text).missed(in: report).isEmpty == isReached, "\(text)")
    }

    /// A sixth of the jobs never came so far. Whatever the bound, no percentile beyond the others can be said to hold: not by the
    /// time-out they stand with, and not by the times of the others.
    @Test(arguments: [
        ("p83<1h", true), ("p84<1h", false), ("max<1h", false), ("queue.p83<1h", true), ("queue.p84<1h", false),
        ("queue.p99<3ms", false), ("service.p50<1h", false), ("accept.p50<1h", false),
    ])
    func whatIsMissingIsLongerThanAnyBound(_ text: String, _ isReached: Bool) throws {
        #expect(try Goals(text).missed(in: report).isEmpty == isReached, "\(text)")
    }

    private static let everyKind =
        ["p50<1h", "max<1h"] + Goals.parts.map { "\($0).p99<1h" } + Goals.counts.map { "\($0)<=1000" }
        + ["achieved>=0%", "fairness>=0"]

    /// Nothing was offered, or nothing came back: no goal is reached, of whatever kind, and it is said in words.
    @Test(arguments: everyKind, [0, 100])
    func nothingReachesNoGoal(_ text: String, _ offered: Int) throws {
        var tally = Tally(tenants: 2)
        tally.tenants[0].counts.offered = offered
        tally.tenants[0].counts.lost = offered
        for _ in 0..<offered { tally.tenants[0].endToEnd.miss(after: 1_000_000) }
        let report = Self.report(tally)
        let missed = try Goals(text).missed(in: report)
        #expect(missed.first == "of \(offered) jobs none has a right result, which shows nothing")
        #expect(report.fairness == nil && report.fairness(within: 0) == nil)
        #expect(report.achieved == (offered == 0 ? nil : 0))
        #expect(report.json.contains(#""fairness":null"#) && !report.text.contains(" nan"))
        if offered == 0 {
            #expect(report.json.contains(#""achieved_share":null"#) && report.json.contains(#""p99":null"#))
        }
    }

    /// What is missing is said of each goal by itself too.
    @Test func aMissSaysWhatIsMissing() throws {
        #expect(
            try Goals("service.p99<5ms,p99<1h,p99<1ms").missed(in: report) == [
                "service.p99<5ms was asked for, and nothing came of which to tell",
                "p99<1h was asked for, and of 150 jobs only 125 have such a time",
                "p99<1ms was asked for, and it is 30.0 s",
            ])
    }

    /// Against the definition, over all percentiles of small numbers.
    @Test func aPercentileIsKnownIfItsJobIs() {
        for all in [1, 3, 10, 100, 1000] {
            for known in stride(from: 0, through: all, by: max(1, all / 10)) {
                var latency = Latency()
                for _ in 0..<known { latency.record(1_000) }
                for tenths in 0...1000 {
                    // The job at whose time the percentile stands, counted from the quickest.
                    let place = max(1, (tenths * all + 999) / 1000)
                    #expect(latency.isKnown(Double(tenths) / 10, of: all) == (place <= known))
                }
            }
        }
    }

    @Test(arguments: [
        "", "p99", "p99<", "p99<50", "p101<1ms", "x.p99<1ms", "lost<1ms", "lost=", "achieved>=1", "fairness>much",
        "p99<50ms,", "mean<1ms",
    ])
    func whatIsNoGoalIsRefused(_ text: String) {
        #expect(throws: LoadTestError.self) { try Goals(text) }
    }

    /// Jain's index: 1 for equal parts, 1/n when one has all, none when there are none.
    @Test func fairnessIsJains() throws {
        #expect(Report.jain([3, 3, 3]) == 1)
        #expect(Report.jain([5, 0, 0, 0]) == 0.25)
        #expect(abs(try #require(Report.jain([1, 0.5])) - 0.9) < 1e-12)
        #expect(Report.jain([0, 0]) == nil && Report.jain([]) == nil)
        #expect(report.fairness(within: 0) == 1)
        #expect(report.fairness(within: 1) == 0.25)
    }

    @Test func theReportSaysItAll() throws {
        let text = report.text
        for word in [
            "150 jobs, 15.0/s", "125", "83.33%", "7 tooManyJobs", "timeouts 25", "end-to-end", "lag", "lost 25",
            "25 of 150 jobs have no right result",
        ] {
            #expect(text.contains(word), "\(word) in:\n\(text)")
        }
        #expect(report.json.contains(#""achieved_share":0.8333"#) && report.json.contains(#""missing":25"#))
        #expect(report.html.contains("<pre>6 clients") && report.html.contains("<td>25</td>"))
        #expect(report.hdr.contains("1/(1-Percentile)"))
        // All that were offered, the slowest with what they stand with.
        #expect(report.hdr.firstMatch(of: /Total count += +150]/) != nil, "\(report.hdr)")
        #expect(report.tally.endToEnd.percentile(100).map { $0 >= 30_000 } == true)
        // Ended after four of its ten seconds.
        let early = Self.report(report.tally, stages: 4)
        #expect(early.text.contains("150 jobs, 37.5/s") && early.text.contains("jobs came due for 4.0 of 10.0 s"))
    }
}

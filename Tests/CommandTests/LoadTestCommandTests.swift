import Foundation
import Testing

/// `collafuse loadtest`, from outside: what it leaves, and how it ends.
@Suite struct LoadTestCommandTests {
    /// All that a reader of the report is promised (docs/loadtest.md).
    private struct Report: Decodable {
        struct Rate: Decodable {
            let offered: Double
            let achieved: Double
        }
        struct Tenant: Decodable {
            let name: String
            let milliseconds: [String: Double]
        }
        let rate: Rate
        let milliseconds: [String: [String: Double]]
        let counts: [String: Int]
        let rejected: [String: Int]
        let duplicates: Int
        let fairness: Double
        let tenants: [Tenant]
    }

    @Test(.timeLimit(.minutes(2))) func leavesItsFilesAndMeasuresGoals() async throws {
        try await inTemporaryFolder { folder in
            func path(_ name: String) -> String { folder.appending(path: name).path }
            let run = try CommandRun.of(
                CommandRun.binaries.appending(path: "collafuse"),
                [
                    "loadtest", "--local", "--keys", path("keys"), "--clients", "5", "--flood", "20", "--stage",
                    "2s@30", "--workers", "2", "--engine", "stub:2ms", "--arrivals", "constant", "--json",
                    path("made/r.json"), "--csv", path("made/r.csv"), "--hdr", path("made/r.hdr"), "--html",
                    path("made/r.html"), "--exit-on-slo", "lost=0,duplicates=0,wrong=0,service.p50<1us,achieved>=100%",
                ], in: folder)
            // One goal is out of reach, and is the only one that is named.
            #expect(run.status == 3, "\(run.output)")
            let missed = run.output.split(separator: "\n").filter { $0.hasPrefix("Goal missed: ") }
            #expect(missed.count == 1 && missed[0].contains("service.p50<1us was asked for"), "\(run.output)")
            let report = try JSONDecoder().decode(
                Report.self, from: Data(contentsOf: folder.appending(path: "made/r.json")))
            #expect(report.counts["offered"] == 100 && report.counts["done"] == 100, "\(report.counts)")
            #expect(report.rate.offered == 50 && report.rate.achieved > 0)
            #expect(report.duplicates == 0 && report.fairness == 1)
            let percentiles = ["p50", "p90", "p99", "p99.9", "p99.99", "max"]
            for part in ["accept", "queue", "service", "end-to-end", "lag"] {
                let times = try #require(report.milliseconds[part], "\(part)")
                let values = percentiles.compactMap { times[$0] }
                #expect(values.count == 6 && values == values.sorted(), "\(part): \(times)")
            }
            #expect(report.tenants.map(\.name) == ["steady", "flooder"])
            for count in ["timeouts", "lost", "refused", "unanswered", "wrong", "late", "ended"] {
                #expect(report.counts[count] == 0, "\(count)")
            }
            let csv = try String(contentsOfFile: path("made/r.csv"), encoding: .utf8).split(separator: "\n")
            let columns = csv.map { $0.split(separator: ",") }
            let done = try #require(columns[0].firstIndex(of: "done"))
            #expect(columns.allSatisfy { $0.count == columns[0].count })
            #expect(columns.dropFirst().compactMap { Int($0[done]) }.reduce(0, +) == 100)
            let hdr = try String(contentsOfFile: path("made/r.hdr"), encoding: .utf8)
            #expect(hdr.firstMatch(of: /Total count += +([0-9]+)]/)?.1 == "100", "\(hdr)")
            let page = try String(contentsOfFile: path("made/r.html"), encoding: .utf8)
            #expect(page.hasPrefix("<!DOCTYPE html>") && page.components(separatedBy: "<svg").count == 5)
        }
    }

    /// A broker that accepts, and nobody who does the work.
    @Test(.timeLimit(.minutes(2))) func whereNothingComesBackNoGoalIsReached() async throws {
        let scene = try FleetScene(clients: 3)
        let (_, endpoints) = try await scene.broker(more: ["--journal", "memory"])
        let json = scene.folder.appending(path: "r.json")
        let load = try scene.load(
            at: [endpoints],
            [
                "--clients", "3", "--stage", "1s@20", "--arrivals", "constant", "--timeout", "300ms", "--drain",
                "500ms", "--exit-on-slo",
                "p50<1h,accept.p99<1h,queue.p99<1h,service.p50<1h,fairness>=0,achieved>=0%,duplicates=0", "--json",
                json.path,
            ])
        let run = try await load.end(within: 60)
        #expect(run.status == 3, "\(run.output)")
        let missed = run.output.split(separator: "\n").filter { $0.hasPrefix("Goal missed: ") }.map { $0.dropFirst(13) }
        for (line, beginning) in zip(
            missed, ["of 20 jobs none", "p50<1h", "queue.p99<1h", "service.p50<1h", "fairness>=0"])
        {
            #expect(line.hasPrefix(beginning), "\(run.output)")
        }
        #expect(missed.count == 5, "\(run.output)")
        let text = try String(contentsOf: json, encoding: .utf8)
        #expect(text.contains(#""lost":20"#) && text.contains(#""timeouts":20"#), "\(text)")
        #expect(text.contains(#""fairness":null"#), "\(text)")
    }

    /// Before anything is started.
    @Test func aGoalThatCannotBeReadIsSaidAtOnce() throws {
        let run = try CommandRun.of(
            CommandRun.binaries.appending(path: "collafuse"), ["loadtest", "--local", "--exit-on-slo", "p99<fast"])
        #expect(run.status != 0 && run.output.contains("“p99<fast” is no goal"), "\(run.output)")
    }
}

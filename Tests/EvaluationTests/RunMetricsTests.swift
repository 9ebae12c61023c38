import Foundation
import Testing

@testable import Evaluation

@Suite struct RunMetricsTests {
    private func metrics(_ files: [String: String]) throws -> RunMetrics {
        let folder = FileManager.default.temporaryDirectory.appending(path: "metrics-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in files { try Data(text.utf8).write(to: folder.appending(path: name)) }
        return try RunMetrics(folder: folder)
    }

    private func line(_ time: Int, _ start: String, _ accepted: Int, north: (Int, Int)? = nil) -> String {
        let peers = north.map { #"{"name":"north","bytes_in":\#($0.0),"bytes_out":\#($0.1)}"# } ?? ""
        return
            #"{"time":\#(time),"node":"broker","event":"broker",\#(start),"accepted":\#(accepted),"peers":[\#(peers)]}"#
            + "\n"
    }

    /// Killed once, asked to end once: three starts, of one broker with a journal and of another.
    @Test func aBrokersStartsAddUp() throws {
        let first = #""broker":"aa","epoch":1"#, second = #""broker":"aa","epoch":2"#,
            other = #""broker":"bb","epoch":1"#
        let metrics = try metrics([
            "broker.jsonl": line(1, first, 0) + line(2, first, 7, north: (100, 10)) + line(3, second, 2)
                + line(4, second, 5, north: (30, 3)) + line(5, other, 1, north: (1, 2)) + line(6, other, 1),
            "north.jsonl": #"{"time":2,"node":"north","event":"exposure","published":3}"# + "\n",
        ])
        #expect(metrics.broker(\.accepted) == 7 + 5 + 1)
        #expect(metrics.traffic(of: "north") == (131, 15))
        #expect(metrics.traffic(of: "east") == (0, 0))
        #expect(metrics.broker(\.rejected) == 0)
        #expect(metrics.of("exposure", node: "north").map(\.published) == [3])
    }

    /// Shares λ of .5 on 10 rows and .25 on 30: 5 and 7.5 in all. (5·.2 + 7.5·.1)/12.5 = .14.
    @Test func lossesArePooledByWhatTheyWereMeasuredOn() throws {
        func line(_ time: Int, _ rows: Int, _ floor: Double, _ excess: Double) -> String {
            #"{"time":\#(time),"node":"t","event":"backbone","images":\#(time),"buckets":[{"from":1,"to":9,"rows":\#(rows),"#
                + #""loss":\#(excess + 1),"floor":\#(floor),"excess":\#(excess)}]}"# + "\n"
        }
        let lines = try metrics(["t.jsonl": line(1, 10, 0.5, 0.2) + line(2, 30, 0.75, 0.1)]).of("backbone")
        let pooled = try #require(RunMetrics.pooled(lines).first)
        #expect(RunMetrics.pooled(lines).count == 1 && pooled.rows == 40 && pooled.from == 1 && pooled.to == 9)
        #expect(abs(try #require(pooled.excess) - 0.14) < 1e-12)
        #expect(abs(try #require(pooled.loss) - 1.125) < 1e-12)
        #expect(abs(try #require(pooled.floor) - 0.6875) < 1e-12)
        #expect(RunMetrics.pooled([RunMetrics.Line]()).isEmpty)
    }

    @Test func aLineThatACrashCutShortIsLeftOut() throws {
        let start = #""broker":"aa","epoch":1"#
        let metrics = try metrics(["broker.jsonl": line(2, start, 4) + line(1, start, 3) + #"{"time":3,"node":"bro"#])
        #expect(metrics.lines.map(\.time) == [1, 2])
        #expect(metrics.broker(\.accepted) == 4)
        #expect(metrics.text.split(separator: "\n").count == 2)
    }
}

import Foundation
import Logging
import Synchronization
import Testing

@testable import Observability

@Suite struct ObservabilityTests {
    /// Whatever is written is read back by an independent reader.
    @Test func valuesAreJSON() throws {
        let value: JSONValue = [
            "text": "a \"quoted\" \\ line\nand\ta \u{1}control, ζ = 500", "whole": -12, "part": 0.1, "yes": true,
            "none": .null, "not a number": .number(.nan), "list": [1, "b", []], "empty": [:],
        ]
        #expect(!value.text.contains("\n"))
        let read = try #require(
            try JSONSerialization.jsonObject(with: Data(value.text.utf8), options: []) as? [String: Any])
        #expect(read["text"] as? String == "a \"quoted\" \\ line\nand\ta \u{1}control, ζ = 500")
        #expect(read["whole"] as? Int == -12)
        #expect(read["part"] as? Double == 0.1)
        #expect(read["yes"] as? Bool == true)
        #expect(read["none"] is NSNull)
        #expect(read["not a number"] is NSNull)
        #expect((read["list"] as? [Any])?.count == 3)
        #expect((read["empty"] as? [String: Any])?.isEmpty == true)
    }

    @Test func sizesArePeoples() {
        #expect(
            [0, 940, 1_000, 1_240, 35_000_000, 2_500_000_000_000_000].map(\.inBytes) == [
                "0 B", "940 B", "1 kB", "1.2 kB", "35 MB", "2500 TB",
            ])
    }

    @Test func aLogLineStaysALineAndSteersNoTerminal() {
        let lines = Mutex<[String]>([])
        var logger = Logger(label: "broker") { label in
            StderrLogHandler(label: label, isColoured: false) { line in lines.withLock { $0.append(line) } }
        }
        logger.logLevel = .info
        logger[metadataKey: "peer"] = "a"
        logger.info("Refused", metadata: ["why": "first\nsecond\u{1B}[2J"])
        logger.debug("not said")
        let said = lines.withLock { $0 }
        #expect(said.count == 1)
        #expect(said.first?.hasSuffix("info broker  Refused  peer=a why=first␤second␛[2J\n") == true)
        #expect(said.first?.contains("\u{1B}") == false)
    }

    @Test func jsonLogLinesCarryTheSame() throws {
        let lines = Mutex<[String]>([])
        let logger = Logger(label: "broker") { label in
            StderrLogHandler(label: label, format: .json) { line in lines.withLock { $0.append(line) } }
        }
        logger.warning("Turned away", metadata: ["key": "ab\"c"])
        let line = try #require(lines.withLock { $0.first })
        let read = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(read["level"] as? String == "warning")
        #expect(read["node"] as? String == "broker")
        #expect(read["message"] as? String == "Turned away")
        #expect(read["key"] as? String == "ab\"c")
    }

    @Test func linesOfSeveralWritersDoNotMix() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "metrics-\(UUID().uuidString).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        await withTaskGroup { group in
            for writer in 0..<4 {
                group.addTask {
                    // A log of its own, as another process would have.
                    guard let log = try? MetricsLog(appendingTo: file, node: "w\(writer)") else { return }
                    for number in 0..<500 {
                        log.write("tick", ["n": .integer(number), "pad": .string(String(repeating: "x", count: 300))])
                    }
                }
            }
        }
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 2000)
        var next: [String: Int] = [:]
        for line in lines {
            let read = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            let (node, number) = (try #require(read["node"] as? String), try #require(read["n"] as? Int))
            #expect(number == next[node, default: 0])
            next[node] = number + 1
        }
    }

    @Test func aMetricsFileThatCannotBeWrittenIsNamed() {
        let error = #expect(throws: ObservabilityError.self) {
            try MetricsLog(appendingTo: URL(filePath: "/nowhere/metrics.jsonl"), node: "a")
        }
        #expect(error?.message.contains("/nowhere/metrics.jsonl") == true)
    }

    @Test func memoryAndTimeGoUpWithUse() {
        let before = ProcessFigures.now()
        #expect(before.peakMemory > 1 << 20)
        let block = [UInt8](repeating: 1, count: 200 << 20)
        #expect(block.reduce(0) { $0 &+ Int($1) } == 200 << 20)
        let after = ProcessFigures.now()
        #expect(after.peakMemory >= 200 << 20)
        #expect(after.cpuSeconds > before.cpuSeconds)
    }

    /// Figures end below each other, and one that is too wide still stands by itself.
    @Test func rowsKeepTheirColumns() {
        #expect(TextTable.row(["time", "p50", "p99"], first: 6, others: 5) == "time    p50  p99")
        #expect(TextTable.row(["accept", "123456", "1"], first: 6, others: 5) == "accept  123456    1")
    }
}

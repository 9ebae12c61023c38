import Foundation
import Testing

@testable import Bench

struct DenoiseBenchTests {
    /// Stands in for ops/bench/denoise.py: everything is done twice a second.
    private static let otherSide = "while read -r _; do echo '{\"rate\": 2, \"torch\": \"none\"}'; done\n"

    private func settings() throws -> DenoiseBench.Settings {
        let bundle = try #require(CommandLine.arguments.first { $0.hasSuffix(".xctest") }, "the test bundle's path")
        let script = FileManager.default.temporaryDirectory.appending(path: "other-side-\(UUID().uuidString).sh")
        try Data(Self.otherSide.utf8).write(to: script)
        var settings = DenoiseBench.Settings(binaries: URL(filePath: bundle).deletingLastPathComponent())
        settings.models = [.tiny]
        settings.seconds = 0.2
        settings.rounds = 1
        settings.threads = 1
        settings.python = "sh"
        settings.script = script
        return settings
    }

    @Test("every figure is measured, through a real broker and a real worker")
    func figures() async throws {
        let report = try await DenoiseBench(try settings()).run { _ in }
        #expect(
            report.figures.map(\.name) == [
                "tiny vs eager", "tiny vs bf16 batch 16", "tiny vs compile", "pool vs engine", "training vs eager",
                "training float32 vs eager",
            ])
        for figure in report.figures {
            #expect(figure.ours > 0 && figure.ours.isFinite)
            #expect(abs(figure.ratio - figure.ours / figure.theirs) < 1e-9 * figure.ratio)
        }
        #expect(report.figures[0].theirs == 2 && report.figures[3].theirs != 2)
        let fields = try JSONSerialization.jsonObject(with: report.json) as? [String: Any]
        #expect((fields?["figures"] as? [[String: Any]])?.count == 6)
    }

    @Test func aPythonThatEndsIsNamed() async throws {
        var settings = try settings()
        settings.python = "false"
        settings.only = ["compile"]
        await #expect(throws: BenchError.self) { try await DenoiseBench(settings).run { _ in } }
    }

    @Test func medianOfEvenAndOddCounts() {
        #expect(median([3, 1, 2]) == 2)
        #expect(median([4, 1, 3, 2]) == 2.5)
    }
}

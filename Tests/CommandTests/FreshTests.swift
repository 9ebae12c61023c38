import Foundation
import Testing

/// `topology/fresh.yaml` as it is committed, made small: the paper's protocol from begin to end.
@Suite struct FreshTests {
    private struct Summary: Decodable {
        struct Client: Decodable {
            let imagesPublished: Int
            let releases: Int
            let effectiveCut: Int
            let samples: Int
        }
        struct Disclosure: Decodable {
            let cut: Int
            let masks: Int
            let publishers: [String]
            let snrDecibels: Double
            let reidentification: Double
        }
        struct Backbone: Decodable { let imagesSeen: Int }
        let clients: [Client]
        let disclosure: [Disclosure]
        let backbone: Backbone
    }

    @Test(.timeLimit(.minutes(5))) func everyMaskIsTrainedOnOnceAndAllAreAttackedTogether() async throws {
        try await inTemporaryFolder { folder in
            var changes = ["sample.per_label=2", "sample.unseen_per_label=0", "sample.steps=4", "report.cuts=[700]"]
            for (client, label) in [("north", 0), ("east", 4), ("south", 7)] {
                changes += ["labels=['\(label)']", "epochs=3", "head.images=64"].map { "clients.\(client).\($0)" }
            }
            let up = try CommandRun.Running(
                CommandRun.binaries.appending(path: "collafuse"),
                ["up", CommandRun.repository.appending(path: "topology/fresh.yaml").path, "--out", "made"]
                    + changes.flatMap { ["--set", $0] }, in: folder)
            let run = try await up.end(within: 200)
            #expect(run.status == 0, "\(run.output)")
            let summary = try JSONDecoder().decode(
                Summary.self, from: Data(contentsOf: folder.appending(path: "made/summary.json")))
            #expect(summary.clients.allSatisfy { $0.releases == 3 && $0.samples == 2 && $0.imagesPublished > 100 })
            // It came to an end by itself, when the last mask was used, and the samples are of that backbone.
            #expect(summary.backbone.imagesSeen == summary.clients.reduce(0) { $0 + 3 * $1.imagesPublished })
            let single = try #require(summary.disclosure.first { $0.masks == 1 })
            let all = try #require(summary.disclosure.first { $0.masks == 3 })
            #expect(single.publishers.isEmpty && all.publishers == ["north", "east", "south"] && all.cut == 700)
            #expect(abs(all.snrDecibels - single.snrDecibels - 10 * log10(3)) < 1e-6)
            #expect(all.reidentification > single.reidentification + 0.1, "\(summary.disclosure)")
            #expect(summary.clients.allSatisfy { $0.effectiveCut < 700 && $0.effectiveCut > 500 })
        }
    }

    /// Refused before anything is started, in words that say what to change; the same with that change goes on.
    @Test func aCutPastTheLimitIsRefusedAtOnce() async throws {
        try await inTemporaryFolder { folder in
            let quickstart = CommandRun.repository.appending(path: "topology/quickstart.yaml").path
            func run(_ more: String...) throws -> CommandRun {
                try CommandRun.of(
                    CommandRun.binaries.appending(path: "collafuse"),
                    ["up", quickstart, "--out", "made", "--dry-run", "--set", "run.cut=200"] + more, in: folder)
            }
            let refused = try run()
            #expect(refused.status != 0 && refused.output.contains("north would publish each image once at cut 200"))
            #expect(refused.output.contains("`limit_db`") && refused.output.contains("--set limit_db=9.5"))
            let raised = try run("--set", "limit_db=9.5")
            #expect(raised.status == 0 && raised.output.contains("--policy once --limit-db 9.5"), "\(raised.output)")
        }
    }
}

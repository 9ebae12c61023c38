import Foundation
import Testing

@testable import Evaluation

/// What a person reads at the end of a run.
@Suite struct PanelTests {
    private func client(_ name: String, _ holds: [String], unseen: Int, unseenAccuracy: Double) -> RunSummary.Client {
        .init(
            name: name, holds: holds, imagesHeld: 500, imagesPublished: 500, releases: 1, effectiveCut: 500, mu: 15.8,
            epsilon: 191, bytesSent: 181_640, bytesReceived: 131_227, headImages: 12_032, headLoss: 0.2767,
            samples: 200,
            accuracy: 0.995, unseenSamples: unseen, unseenAccuracy: unseenAccuracy, frechet: 84.9, cpuSeconds: 23.4,
            peakMegabytes: 277)
    }

    private var summary: RunSummary {
        RunSummary(
            run: .init(name: "a <run>", timesteps: 1000, schedule: "cosine", cut: 500, snrDecibels: -0.1, seconds: 89),
            clients: [
                client("north", ["0", "1", "2", "3"], unseen: 100, unseenAccuracy: 0.4),
                client("east", ["4", "5", "6"], unseen: 300, unseenAccuracy: 0.2),
            ],
            disclosure: [
                .init(
                    cut: 500, publishers: ["north", "east"], masks: 1, effectiveCut: 500, snrDecibels: -0.1,
                    labelAccuracy: 0.729, labelChance: 0.102, reidentification: 0.376, candidates: 1797),
                .init(
                    cut: 700, publishers: ["south"], masks: 8, effectiveCut: 384, snrDecibels: 3.1, labelAccuracy: 0.8,
                    labelChance: 0.102, reidentification: 0.7, candidates: 1797),
                .init(
                    cut: 200, publishers: [], masks: 1, effectiveCut: 200, snrDecibels: 9.5, labelAccuracy: 0.962,
                    labelChance: 0.102, reidentification: 0.985, candidates: 1797),
            ],
            quality: .init(
                samples: 400, accuracy: 0.988, accuracyByLabel: [:], realAccuracy: 0.981, frechet: 57.3,
                realFrechet: 34.6),
            backbone: .init(
                versions: 8, imagesSeen: 40_000,
                buckets: [.init(from: 501, to: 600, loss: 0.87, floor: 0.73, excess: 0.09)]),
            jobs: .init(accepted: 53, finished: 53, redelivered: 1, deadLetters: 0, rejected: 0),
            phases: [.init(node: "north", name: "publish", start: 0, end: 1.4)],
            nodes: [.init(name: "north", role: "client", cpuSeconds: 23.4, peakMegabytes: 277, restarts: 0)],
            files: ["page": "report.html"])
    }

    @Test func theStory() {
        let story = RunStory(summary).sentences.joined(separator: "\n")
        #expect(story.contains("1000 images noised to timestep ζ = 500 or 700 of 1000, each once, with"))
        // The worst that was really published, not what is there to compare with.
        #expect(story.contains("reads the label off 80.0 % of them") && !story.contains("96.2 %"))
        #expect(story.contains("400 new images") && story.contains("98.8 %"))
        // (100·.4 + 300·.2)/400
        #expect(story.contains("400 images of what a client never held") && story.contains("25.0 % right"))
        var quiet = summary
        quiet.disclosure = []
        quiet.quality = nil
        quiet.clients = []
        #expect(RunStory(quiet).sentences.isEmpty)
    }

    @Test func thePanelFitsATerminal() {
        let lines = SummaryPanel(summary, folder: "out/demo").text.split(
            separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.allSatisfy { $0.count <= 104 && $0.last != " " }, "\(lines.filter { $0.count > 104 })")
        let text = lines.joined(separator: "\n")
        for words in [
            "north", "181.6 kB", "8 masks = ζ 384", "by guessing: 10.2 % and 0.1 %", "once at ζ = 500",
            "nobody, to compare",
            "out/demo/report.html", "1 given to another worker", "publish 1 s",
        ] { #expect(text.contains(words), "\(words)") }
    }

    @Test func thePageStandsAlone() throws {
        let png = try #require(
            Data(contentsOf: repository.appending(path: "Tests/Goldens/images/grey.png")) as Data?)
        let picture = try #require(
            RunPicture(client: "north", cut: 500, held: ["0"], unseen: ["7"], png: Array(png)))
        let page = ReportPage(
            summary,
            charts: [
                LineChart(title: "loss", xTitle: "images", series: [.init(name: "a", points: [(0, 1), (2, 0.5)])])
            ],
            pictures: [picture]
        ).html
        #expect(page.contains("a &lt;run&gt;") && !page.contains("a <run>"))
        #expect(page.contains("data:image/png;base64,") && page.contains("north never held these:"))
        // Nothing is fetched from anywhere; the one address is the name of SVG's vocabulary.
        let addresses = page.components(separatedBy: "http").dropFirst()
        #expect(addresses.allSatisfy { $0.hasPrefix("://www.w3.org/2000/svg\"") })
        #expect(RunPicture(client: "n", cut: 5, held: ["0"], unseen: [], png: [1, 2, 3]) == nil)
    }
}

import Foundation
import Observability

/// The panel a run ends in, as text for a terminal of 100 columns.
package struct SummaryPanel {
    private let summary: RunSummary
    private let folder: String?

    /// - Parameter folder: what files are said to lie in; nil: their names alone.
    package init(_ summary: RunSummary, folder: String? = nil) {
        self.summary = summary
        self.folder = folder
    }

    package var text: String {
        let parts =
            [rule("CollaFuse · \(summary.run.name) · \(summary.run.seconds.formatted(0)) s")]
            + RunStory(summary).sentences.flatMap(wrapped)
            + held + attacks + samples + training + work + places
        return parts.joined(separator: "\n")
    }

    private var held: [String] {
        [rule("who held what, and what left")]
            + TextTable.lines(
                ["client", "holds", "images", "masked", "times", "shows as much as", "sent", "received"],
                summary.clients.map { client in
                    [
                        client.name, client.holds.joined(separator: " "), "\(client.imagesHeld)",
                        "\(client.imagesPublished)",
                        "\(client.releases)", client.releases > 0 ? "once at ζ = \(client.effectiveCut)" : "–",
                        client.bytesSent.asBytes, client.bytesReceived.asBytes,
                    ]
                })
            + wrapped(
                "Labels left with the masked images. The formal ε at δ = 1e-5 is \(epsilonText) (μ = \(muText)): no promise at all, as at "
                    + "every cut that is of use. What counts is what was measured:")
    }

    private var attacks: [String] {
        [rule("what masked images give away, by attack")]
            + TextTable.lines(
                ["noised to", "by", "signal", "label read", "image found"],
                summary.disclosure.map { row in
                    [
                        "ζ = \(row.cut)" + (row.masks > 1 ? ", \(row.masks) masks = ζ \(row.effectiveCut)" : ""),
                        row.publishers.isEmpty ? "nobody, to compare" : row.publishers.joined(separator: ", "),
                        "\(row.snrDecibels.formatted(1)) dB", row.labelAccuracy.percent,
                        "\(row.reidentification.percent) of \(row.candidates)",
                    ]
                })
            + (summary.disclosure.first.map { row in
                ["  by guessing: \(row.labelChance.percent) and \((1 / Double(row.candidates)).percent)"]
            } ?? [])
    }

    private var samples: [String] {
        [rule("what was drawn")]
            + TextTable.lines(
                ["client", "of its labels", "right", "Fréchet", "never held", "right"],
                summary.clients.map { client in
                    [
                        client.name, "\(client.samples)", client.accuracy.percent, client.frechet.formatted(1),
                        "\(client.unseenSamples)", client.unseenAccuracy.percent,
                    ]
                })
            + (summary.quality.map { quality in
                wrapped(
                    "Right: a classifier trained on the real images sees what was asked for; of all \(quality.samples), "
                        + "\(quality.accuracy.percent) (of real held-out images \(quality.realAccuracy.percent)). Fréchet distance of pixels to "
                        + "held-out images, lower is nearer: of all, \(quality.frechet.formatted(1)) (of real training images "
                        + "\(quality.realFrechet.formatted(1))).")
            } ?? [])
    }

    private var training: [String] {
        [
            rule("what was trained"),
            "  backbone, by the workers: \(summary.backbone.imagesSeen) images, \(summary.backbone.versions) versions; loss above its floor, by timestep:",
        ]
            + TextTable.lines(
                ["t"] + summary.backbone.buckets.map { "\($0.from)–\($0.to)" },
                [["loss"] + summary.backbone.buckets.map { $0.excess.formatted(3) }])
            + wrapped(
                "heads, by the clients: "
                    + summary.clients.map { "\($0.name) \($0.headImages) images, loss \($0.headLoss.formatted(3))" }
                    .joined(separator: "; "))
    }

    private var work: [String] {
        let jobs = summary.jobs
        return [
            rule("jobs, time, memory"),
            "  \(jobs.accepted) jobs accepted · \(jobs.finished) finished · \(jobs.redelivered) given to another worker · "
                + "\(jobs.rejected) rejected · \(jobs.deadLetters) given up",
        ]
            + TextTable.lines(
                ["node", "role", "phases", "CPU s", "peak MB", "restarts"],
                summary.nodes.map { node in
                    [
                        node.name, node.role, phases(of: node.name), node.cpuSeconds.formatted(1),
                        node.peakMegabytes.formatted(0), "\(node.restarts)",
                    ]
                })
    }

    private var places: [String] {
        let width = summary.files.keys.map(\.count).max() ?? 0
        return [rule("where it is")]
            + summary.files.sorted { $0.key < $1.key }.map { key, path in
                "  " + key.padding(toLength: width + 2, withPad: " ", startingAt: 0) + (folder.map { "\($0)/" } ?? "")
                    + path
            }
    }

    private var muText: String { summary.clients.map(\.mu).max().map { $0.formatted(1) } ?? "–" }

    private var epsilonText: String {
        guard let least = summary.clients.map(\.epsilon).min(), let most = summary.clients.map(\.epsilon).max() else {
            return "–"
        }
        return least == most ? least.formatted(0) : "\(least.formatted(0)) to \(most.formatted(0))"
    }

    private func phases(of node: String) -> String {
        summary.phases.filter { $0.node == node }
            .map { "\($0.name) \(($0.end - $0.start).formatted(0)) s" }
            .joined(separator: ", ")
    }

    private func rule(_ title: String) -> String {
        "── \(title) " + String(repeating: "─", count: max(0, Self.width - 4 - title.count))
    }

    /// In lines of the panel's width, indented as the tables are.
    private func wrapped(_ text: String) -> [String] {
        text.split(separator: " ").reduce(into: [String]()) { lines, word in
            if let last = lines.last, last.count + word.count < Self.width {
                lines[lines.count - 1] = last + " " + word
            } else {
                lines.append("  " + word)
            }
        }
    }

    private static let width = 100
}

extension Double? {
    func formatted(_ decimals: Int) -> String { self?.formatted(decimals) ?? "–" }
    var percent: String { self?.percent ?? "–" }
}

extension Double {
    /// With so many decimals; "–" where there is no number.
    func formatted(_ decimals: Int) -> String {
        isFinite ? String(format: "%.\(decimals)f", self) : "–"
    }

    var percent: String { isFinite ? String(format: "%.1f %%", self * 100) : "–" }
}

extension Int {
    var asBytes: String {
        switch self {
        case ..<1_000: "\(self) B"
        case ..<1_000_000: String(format: "%.1f kB", Double(self) / 1e3)
        default: String(format: "%.1f MB", Double(self) / 1e6)
        }
    }
}

import Foundation

/// The panel a run ends in, as text for a terminal of 100 columns.
package struct SummaryPanel {
    private let summary: RunSummary

    package init(_ summary: RunSummary) {
        self.summary = summary
    }

    package var text: String {
        let run = summary.run
        var lines = [
            rule("CollaFuse · \(run.name)"),
            "T = \(run.timesteps), \(run.schedule), cut ζ = \(run.cut) "
                + "(SNR \(run.snrDecibels.formatted(1)) dB) · \(run.seconds.formatted(0)) s",
            rule("who held what, and what left"),
        ]
        lines += TextTable.lines(
            ["client", "holds", "images", "published", "releases", "ζ_eff", "μ", "sent", "received"],
            summary.clients.map { client in
                [
                    client.name, client.holds.joined(separator: " "), "\(client.imagesHeld)",
                    "\(client.imagesPublished)",
                    "\(client.releases)", "\(client.effectiveCut)", client.mu.formatted(1),
                    client.bytesSent.asBytes, client.bytesReceived.asBytes,
                ]
            })
        lines += ["Labels left with the images. No image did: only images noised to the cut."]
        lines += [
            "The formal ε(δ = 1e-5) is \(epsilonText): vacuous, as at every useful cut. What counts is what was measured:"
        ]
        lines.append(rule("what masked images give away"))
        lines += TextTable.lines(
            ["ζ", "published by", "SNR dB", "label read by an attacker", "the very image found"],
            summary.disclosure.map { row in
                [
                    "\(row.cut)", row.publishers.isEmpty ? "nobody" : row.publishers.joined(separator: ", "),
                    row.snrDecibels.formatted(1),
                    row.labelAccuracy.percent,
                    "\(row.reidentification.percent) among \(row.candidates)",
                ]
            })
        lines.append(rule("what was made"))
        lines += TextTable.lines(
            [
                "client", "samples", "called by their label", "never held", "called by their label", "Fréchet",
                "head loss",
            ],
            summary.clients.map { client in
                [
                    client.name, "\(client.samples)", client.accuracy.percent, "\(client.unseenSamples)",
                    client.unseenAccuracy.percent, client.frechet.formatted(1), client.headLoss.formatted(4),
                ]
            })
        if let quality = summary.quality {
            lines.append(
                "All \(quality.samples) samples: \(quality.accuracy.percent) (real held-out images: \(quality.realAccuracy.percent)), "
                    + "Fréchet distance to held-out images \(quality.frechet.formatted(1)) (training images: \(quality.realFrechet.formatted(1)))"
            )
        }
        lines += [
            rule("backbone"),
            "\(summary.backbone.imagesSeen) training images, \(summary.backbone.versions) versions; loss above its floor by timestep:",
        ]
        lines += TextTable.lines(
            summary.backbone.buckets.map { "\($0.from)–\($0.to)" },
            [summary.backbone.buckets.map { $0.excess.formatted(4) }])
        lines.append(rule("jobs, time, memory"))
        let jobs = summary.jobs
        lines.append(
            "\(jobs.accepted) accepted · \(jobs.finished) finished · \(jobs.redelivered) redelivered · "
                + "\(jobs.rejected) rejected · \(jobs.deadLetters) dead letters")
        lines += TextTable.lines(
            ["node", "role", "phases", "CPU s", "peak MB", "restarts"],
            summary.nodes.map { node in
                [
                    node.name, node.role, phases(of: node.name), node.cpuSeconds.formatted(1),
                    node.peakMegabytes.formatted(0),
                    "\(node.restarts)",
                ]
            })
        lines.append(rule("where it is"))
        let width = summary.files.keys.map(\.count).max() ?? 0
        lines += summary.files.sorted { $0.key < $1.key }.map { key, path in
            "  " + key.padding(toLength: width + 2, withPad: " ", startingAt: 0) + path
        }
        return lines.joined(separator: "\n")
    }

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
        "── \(title) " + String(repeating: "─", count: max(0, 96 - title.count))
    }
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

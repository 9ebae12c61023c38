import Foundation

/// The page a run ends in: one HTML file with everything in it, pictures included.
package struct ReportPage {
    private let summary: RunSummary
    private let charts: [LineChart]
    private let pictures: [RunPicture]

    package init(_ summary: RunSummary, charts: [LineChart], pictures: [RunPicture]) {
        self.summary = summary
        self.charts = charts
        self.pictures = pictures
    }

    package var html: String {
        """
        <!doctype html><html lang="en"><head><meta charset="utf-8"><title>CollaFuse · \(summary.run.name.htmlEscaped)</title>
        <meta name="viewport" content="width=device-width, initial-scale=1"><style>
        body{font:16px/1.55 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#111827;background:#fff}
        h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.5rem;border-bottom:1px solid #e5e7eb;padding-bottom:.2rem}
        li{margin:.3rem 0}dt{font-weight:600;margin-top:.5rem}dd{margin:0 0 0 1.2rem}
        pre{background:#f9fafb;padding:1rem;overflow-x:auto;font-size:12px;line-height:1.4}
        figure{margin:1.5rem 0}svg{width:100%;height:auto;max-width:43rem;display:block}
        svg.chart{margin:1rem 0}svg.chart text{font:11px system-ui,sans-serif;fill:#4b5563}svg.chart text.title{font-weight:600;font-size:13px}
        </style></head><body>
        <h1>CollaFuse · \(summary.run.name.htmlEscaped)</h1>
        <p>\(summary.clients.count) clients trained one diffusion model together without showing each other, or anybody, an image. Each
        drew new images from it: the workers did the first steps, the client the last.</p>
        <h2>In short</h2><ul>\(RunStory(summary).sentences.map { "<li>\($0.htmlEscaped)</li>" }.joined())</ul>
        <h2>Pictures</h2>\(pictures.map { "<figure>\($0.svg)</figure>" }.joined())
        <h2>Training</h2>
        <p>The backbone's loss has a floor that no model gets below, since the workers never see an image; shown is what is above it.</p>
        \(charts.map(\.svg).joined())
        <h2>Every figure</h2><pre>\(SummaryPanel(summary).text.htmlEscaped)</pre>
        <h2>Words</h2><dl>\(Self.words.map { "<dt>\($0.htmlEscaped)</dt><dd>\($1.htmlEscaped)</dd>" }.joined())</dl>
        </body></html>
        """
    }

    private static let words = [
        (
            "ζ, the cut",
            "The timestep to which images are noised before they leave, and at which a client takes over from the workers."
        ),
        (
            "signal",
            "How much of the image there is against the noise, in decibels: 0 dB is as much of the one as of the other."
        ),
        (
            "masked, times; shows as much as",
            "Every mask of an image shows a little more of it. All of them together show as much as one at this cut."
        ),
        (
            "label read, image found",
            "What two attackers get right who have the masked images: one names what they show, one picks the very image out of all. Better attackers may come."
        ),
        ("right", "How often a classifier that was trained on the real images sees in a sample what was asked for."),
        (
            "Fréchet distance",
            "How far the samples are, as a whole, from real images held out of training, by their pixels. Lower is nearer; it is not FID."
        ),
        ("ε, μ", "The formal measure, differential privacy. So large an ε promises nothing."),
    ]
}

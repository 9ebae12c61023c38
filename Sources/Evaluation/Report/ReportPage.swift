import Foundation

/// The page a run ends in: one HTML file with everything in it, pictures included.
package struct ReportPage {
    private let summary: RunSummary
    private let charts: [LineChart]
    /// Caption and PNG bytes.
    private let pictures: [(caption: String, png: [UInt8])]

    package init(_ summary: RunSummary, charts: [LineChart], pictures: [(caption: String, png: [UInt8])]) {
        self.summary = summary
        self.charts = charts
        self.pictures = pictures
    }

    package var html: String {
        """
        <!doctype html><html lang="en"><head><meta charset="utf-8"><title>CollaFuse · \(summary.run.name.htmlEscaped)</title>
        <meta name="viewport" content="width=device-width, initial-scale=1"><style>
        body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#111827}
        h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #e5e7eb}
        pre{background:#f9fafb;padding:1rem;overflow-x:auto;font-size:12px;line-height:1.4}
        img{image-rendering:pixelated;max-width:100%;border:1px solid #e5e7eb}figure{margin:1rem 0}
        figcaption{color:#4b5563;font-size:.9rem}svg{width:100%;max-width:40rem;display:block;margin:1rem 0}
        svg text{font:11px system-ui,sans-serif;fill:#4b5563}svg text.title{font-weight:600;font-size:13px}
        </style></head><body>
        <h1>CollaFuse · \(summary.run.name.htmlEscaped)</h1>
        <p>Several clients trained one diffusion model together, and sampled from it half on the server and half on their own,
        without an image leaving its owner.</p>
        <h2>Summary</h2><pre>\(SummaryPanel(summary).text.htmlEscaped)</pre>
        <h2>Pictures</h2>\(pictures.map(figure).joined())
        <h2>Training</h2>\(charts.map(\.svg).joined())
        </body></html>
        """
    }

    private func figure(caption: String, png: [UInt8]) -> String {
        """
        <figure><img alt="\(caption.htmlEscaped)" src="data:image/png;base64,\(Data(png).base64EncodedString())">
        <figcaption>\(caption.htmlEscaped)</figcaption></figure>
        """
    }
}

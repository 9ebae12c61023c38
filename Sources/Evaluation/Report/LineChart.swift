import Foundation

/// A line chart as SVG: one colour a series, y from 0.
package struct LineChart {
    package struct Series: Sendable {
        package var name: String
        /// (x, y), x rising.
        package var points: [(x: Double, y: Double)]

        package init(name: String, points: [(x: Double, y: Double)]) {
            self.name = name
            self.points = points
        }
    }

    private let title: String
    private let xTitle: String
    private let series: [Series]
    private static let colours = ["#2563eb", "#dc2626", "#16a34a", "#9333ea", "#ea580c", "#0891b2"]
    private static let width = 640.0
    private static let height = 260.0
    private static let margin = 46.0

    package init(title: String, xTitle: String, series: [Series]) {
        self.title = title
        self.xTitle = xTitle
        self.series = series.filter { !$0.points.isEmpty }
    }

    package var svg: String {
        let points = series.flatMap(\.points)
        let right = points.map(\.x).max() ?? 1
        let top = max(points.map(\.y).max() ?? 1, 1e-9) * 1.05
        func place(_ point: (x: Double, y: Double)) -> String {
            let x = Self.margin + point.x / max(right, 1e-9) * (Self.width - 2 * Self.margin)
            let y = Self.height - Self.margin - point.y / top * (Self.height - 2 * Self.margin)
            return "\(x.formatted(1)),\(y.formatted(1))"
        }
        var body = ""
        for tick in 0...4 {
            let share = Double(tick) / 4
            let y = Self.height - Self.margin - share * (Self.height - 2 * Self.margin)
            let x = Self.margin + share * (Self.width - 2 * Self.margin)
            body +=
                "<line x1=\"\(Self.margin)\" y1=\"\(y)\" x2=\"\(Self.width - Self.margin)\" y2=\"\(y)\" stroke=\"#e5e7eb\"/>"
            body +=
                "<text x=\"\(Self.margin - 6)\" y=\"\(y + 4)\" text-anchor=\"end\">\((share * top).formatted(2))</text>"
            body +=
                "<text x=\"\(x)\" y=\"\(Self.height - Self.margin + 16)\" text-anchor=\"middle\">\((share * right).formatted(0))</text>"
        }
        for (index, line) in series.enumerated() {
            let colour = Self.colours[index % Self.colours.count]
            body += "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.5\" points=\""
            body += line.points.map(place).joined(separator: " ") + "\"/>"
            body +=
                "<text x=\"\(Self.width - Self.margin - 4)\" y=\"\(30 + 14 * index)\" text-anchor=\"end\" style=\"fill:\(colour)\">"
            body += "\(line.name.htmlEscaped)</text>"
        }
        return """
            <svg class="chart" viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" role="img" aria-label="\(title.htmlEscaped)">
            <text x="\(Self.margin)" y="18" class="title">\(title.htmlEscaped)</text>\(body)
            <text x="\(Self.width / 2)" y="\(Self.height - 8)" text-anchor="middle">\(xTitle.htmlEscaped)</text></svg>
            """
    }
}

extension String {
    package var htmlEscaped: String {
        replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
    }
}

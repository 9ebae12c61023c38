import Foundation
import Testing

@testable import LoadTest

struct PlotTests {
    @Test(arguments: [(0.3, 0.5), (1, 1), (1.1, 2), (23, 50), (0.011, 0.02), (700, 1000)])
    func stepsAreRound(_ wanted: Double, _ step: Double) {
        #expect(abs(Plot.step(wanted) - step) < step * 1e-9)
    }

    /// The highest point lies on the top edge, 0 on the bottom one, and the picture is well-formed XML whatever its words.
    @Test func pointsLieWhereTheyShould() throws {
        let plot = Plot(
            title: "a < b & 'c'", unit: "ms", lines: [.init(name: "<x>", points: [(0, 0), (5, 20), (10, 10)])])
        #expect(plot.svg.contains("points='70.0,240.0 475.0,34.0 880.0,137.0'"))
        let parser = XMLParserCheck()
        #expect(parser.accepts(plot.svg))
    }

    @Test func aLogarithmicScaleHasDecades() {
        let plot = Plot(
            title: "t", unit: "ms", lines: [.init(name: "x", points: [(0, 1), (1, 100)])], scale: .logarithmic)
        #expect(plot.svg.contains("points='70.0,240.0 880.0,34.0'"))
        #expect(plot.svg.contains(">10</text>"))
    }

    @Test func nothingToPlotIsNothing() {
        #expect(Plot(title: "t", unit: "u", lines: []).svg.isEmpty)
        #expect(Plot(title: "t", unit: "u", lines: [.init(name: "x", points: [(1, 1)])]).svg.isEmpty)
    }
}

/// Every element that is opened is closed, in order, and no text has a bare sign.
private struct XMLParserCheck {
    func accepts(_ text: String) -> Bool {
        var open: [Substring] = [], rest = text[...]
        while let start = rest.firstIndex(of: "<") {
            guard let end = rest[start...].firstIndex(of: ">") else { return false }
            let tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("/") {
                guard open.popLast() == tag.dropFirst() else { return false }
            } else if !tag.hasSuffix("/") {
                open.append(tag.split(separator: " ")[0])
            }
        }
        return open.isEmpty && !rest.contains(">")
    }
}

internal import Foundation

/// A line chart as inline SVG: one self-contained piece of a page.
struct Plot {
    struct Line {
        let name: String
        let points: [(x: Double, y: Double)]
    }

    enum Scale {
        case linear, logarithmic
    }

    let title: String
    let unit: String
    let lines: [Line]
    var scale = Scale.linear
    /// Marks of the x axis; nil: whole numbers that are chosen here.
    var marks: [(x: Double, name: String)]?
    var xName = "seconds"

    private static let width = 900.0, height = 280.0
    private static let left = 70.0, right = 20.0, top = 34.0, bottom = 40.0
    private static let colours = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"]

    var svg: String {
        let points = lines.flatMap(\.points)
        guard points.count > 1 else { return "" }
        let lowX = points.map(\.x).min() ?? 0, highX = max(points.map(\.x).max() ?? 1, lowX + 1e-9)
        let positive = points.map(\.y).filter { $0 > 0 }
        let highY = max(positive.max() ?? 1, 1e-9)
        let lowY = scale == .linear ? 0 : min(positive.min() ?? highY / 10, highY / 10)
        func x(_ value: Double) -> Double {
            Self.left + (value - lowX) / (highX - lowX) * (Self.width - Self.left - Self.right)
        }
        func y(_ value: Double) -> Double {
            let share =
                scale == .linear
                ? value / highY : log(max(value, lowY) / lowY) / log(highY / lowY)
            return Self.height - Self.bottom - share * (Self.height - Self.top - Self.bottom)
        }
        var parts = [
            "<svg viewBox='0 0 \(Int(Self.width)) \(Int(Self.height))' role='img' aria-label='\(Self.escaped(title))'>",
            "<text x='\(Self.left)' y='18' class='title'>\(Self.escaped(title)), \(Self.escaped(unit))</text>",
        ]
        for mark in yMarks(lowY, highY) {
            parts.append(
                "<line x1='\(Self.left)' x2='\(Self.width - Self.right)' y1='\(at(y(mark)))' y2='\(at(y(mark)))' class='grid'/>"
                    + "<text x='\(Self.left - 6)' y='\(at(y(mark) + 4))' text-anchor='end'>\(Self.short(mark))</text>")
        }
        for mark in marks ?? xMarks(lowX, highX) {
            parts.append(
                "<text x='\(at(x(mark.x)))' y='\(Self.height - Self.bottom + 18)' text-anchor='middle'>\(Self.escaped(mark.name))</text>"
            )
        }
        parts.append(
            "<text x='\(Self.width - Self.right)' y='\(Self.height - 6)' text-anchor='end'>\(Self.escaped(xName))</text>"
        )
        for (index, line) in lines.enumerated() {
            let colour = Self.colours[index % Self.colours.count]
            let path = line.points.map { "\(at(x($0.x))),\(at(y($0.y)))" }.joined(separator: " ")
            parts.append("<polyline points='\(path)' fill='none' stroke='\(colour)' stroke-width='1.5'/>")
            let legend = Self.width - Self.right - Double(lines.count - index) * 110
            parts.append(
                "<rect x='\(legend)' y='8' width='10' height='10' fill='\(colour)'/>"
                    + "<text x='\(legend + 15)' y='18'>\(Self.escaped(line.name))</text>")
        }
        return parts.joined() + "</svg>"
    }

    private func at(_ value: Double) -> String { String(format: "%.1f", value) }

    private func yMarks(_ low: Double, _ high: Double) -> [Double] {
        guard scale == .logarithmic else {
            let step = Self.step(high / 4)
            return stride(from: 0, through: high, by: step).map { $0 }
        }
        var marks: [Double] = [], mark = pow(10, log10(low).rounded(.up))
        while mark <= high, marks.count < 12 {
            marks.append(mark)
            mark *= 10
        }
        return marks
    }

    private func xMarks(_ low: Double, _ high: Double) -> [(x: Double, name: String)] {
        let step = Self.step((high - low) / 8)
        return stride(from: (low / step).rounded(.up) * step, through: high, by: step).map { ($0, Self.short($0)) }
    }

    /// 1, 2 or 5 times a power of ten, at least `wanted`.
    static func step(_ wanted: Double) -> Double {
        let power = pow(10, log10(max(wanted, 1e-12)).rounded(.down))
        return [1, 2, 5, 10].map { $0 * power }.first { $0 >= wanted * (1 - 1e-9) } ?? 10 * power
    }

    static func short(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e9 ? "\(Int(value))" : String(format: "%.3g", value)
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("'", with: "&#39;")
    }
}

package import Foundation
internal import Observability

/// What `collafuse bench broker` measured, where, and how.
package struct BrokerFigures: Sendable, Codable {
    package struct Figure: Sendable, Codable {
        package let name: String
        package let ours: Double
        /// nil: nothing stands beside it.
        package let theirs: Double?
        package let unit: String
        /// The median of the rounds' ratios.
        package let ratio: Double?
        /// What is held against must and aim: the ratio, or what the name says.
        package let seen: Double
        /// nil: it is reported, and nothing is demanded of it.
        package let must: Double?
        package let aim: Double?
        /// Less is better.
        package let isCost: Bool
        package let note: String

        init(
            _ name: String, ours: Double, theirs: Double? = nil, unit: String, ratio: Double? = nil, seen: Double,
            must: Double?, aim: Double?, isCost: Bool = false, note: String = ""
        ) {
            self.name = name
            self.ours = ours
            self.theirs = theirs
            self.unit = unit
            self.ratio = ratio
            self.seen = seen
            self.must = must
            self.aim = aim
            self.isCost = isCost
            self.note = note
        }

        /// nil: nothing is demanded.
        package var verdict: String? {
            func reaches(_ goal: Double) -> Bool { isCost ? seen <= goal : seen >= goal }
            if let aim, reaches(aim) { return "aim" }
            guard let must else { return aim == nil ? nil : "below the aim" }
            return reaches(must) ? "must" : "missed"
        }
    }

    package struct Machine: Sendable, Codable {
        let processor: String
        let cores: Int

        static var current: Machine {
            Machine(processor: Processor.current.name, cores: Processor.current.cores)
        }
    }

    package let machine: Machine
    package let seconds: Double
    package let rounds: Int
    package let figures: [Figure]
    /// Rows that were asked for and not measured, and why.
    package let left: [String]

    package var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return try encoder.encode(self)
        }
    }

    /// A table for a person.
    package var text: String {
        func number(_ value: Double?) -> String { value.map { String(format: "%.4g", $0) } ?? "–" }
        let rows = figures.map { figure in
            [
                figure.name, number(figure.ours), number(figure.theirs), figure.unit, number(figure.ratio),
                number(figure.seen), number(figure.must), number(figure.aim), figure.verdict ?? "–", figure.note,
            ]
        }
        let head = ["figure", "ours", "theirs", "unit", "ratio", "seen", "must", "aim", "reached", ""]
        return (TextTable.lines(head, rows, indent: "") + left).joined(separator: "\n")
    }
}

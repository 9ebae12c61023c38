internal import Topology

/// What a load test must show, and what it does not: `p99<50ms,lost=0`.
package struct Goals: Hashable, Sendable {
    struct Goal: Hashable, Sendable {
        enum Measure: Hashable, Sendable {
            /// Of end-to-end time, or of the named part; in milliseconds.
            case time(part: String, percentile: Double)
            case count(String)
            /// Done, of what was offered.
            case achieved
            case fairness
        }

        enum Comparison: String, CaseIterable, Sendable {
            case atMost = "<=", atLeast = ">=", below = "<", above = ">", equal = "="

            func holds(_ value: Double, _ bound: Double) -> Bool {
                switch self {
                case .atMost: value <= bound
                case .atLeast: value >= bound
                case .below: value < bound
                case .above: value > bound
                case .equal: value == bound
                }
            }
        }

        let text: String
        let measure: Measure
        let comparison: Comparison
        let bound: Double
    }

    let goals: [Goal]

    package var text: String { goals.map(\.text).joined(separator: ", ") }

    static let parts = ["accept", "queue", "service", "lag"]
    static let counts = [
        "lost", "duplicates", "timeouts", "refused", "ended", "wrong", "unanswered", "held", "rejected",
    ]

    /// - Throws: `badGoal`, naming what cannot be read.
    package init(_ text: String) throws(LoadTestError) {
        var goals: [Goal] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            goals.append(try Goal(part.filter { !$0.isWhitespace }))
        }
        self.goals = goals
    }

    /// The goals that were missed, in words; empty: all were reached. Where no right result came back none is: nothing lost of nothing
    /// shows nothing.
    package func missed(in report: Report) -> [String] {
        let missed = goals.compactMap { $0.miss(in: report) }
        guard report.counts.done + report.counts.late == 0 else { return missed }
        return ["of \(report.counts.offered) jobs none has a right result, which shows nothing"] + missed
    }
}

extension Goals.Goal {
    fileprivate init(_ text: String) throws(LoadTestError) {
        // The longer signs first: `<=` begins like `<`.
        guard let comparison = Comparison.allCases.first(where: { text.contains($0.rawValue) }),
            let sign = text.firstRange(of: comparison.rawValue)
        else { throw Self.unreadable(text) }
        let name = String(text[..<sign.lowerBound]), value = String(text[sign.upperBound...])
        self.text = text
        self.comparison = comparison
        if name == "achieved" {
            guard value.hasSuffix("%"), let share = Double(value.dropLast()) else { throw Self.unreadable(text) }
            measure = .achieved
            bound = share / 100
        } else if name == "fairness" {
            guard let index = Double(value) else { throw Self.unreadable(text) }
            measure = .fairness
            bound = index
        } else if Goals.counts.contains(name) {
            guard let count = Int(value) else { throw Self.unreadable(text) }
            measure = .count(name)
            bound = Double(count)
        } else {
            let words = name.split(separator: ".", maxSplits: 1).map(String.init)
            let (part, which) =
                words.count == 2 && Goals.parts.contains(words[0]) ? (words[0], words[1]) : ("end-to-end", name)
            guard let percentile = which == "max" ? 100 : which.hasPrefix("p") ? Double(which.dropFirst()) : nil,
                (0...100).contains(percentile), let time = Duration(spelled: value)
            else { throw Self.unreadable(text) }
            measure = .time(part: part, percentile: percentile)
            bound = time.seconds * 1_000
        }
    }

    fileprivate func miss(in report: Report) -> String? {
        let offered = report.counts.offered
        guard let value = report.value(of: measure) else {
            return "\(text) was asked for, and nothing came of which to tell"
        }
        guard comparison.holds(value, bound) else { return "\(text) was asked for, and it is \(describe(value))" }
        guard case .time(let part, let percentile) = measure else { return nil }
        let time = report.time(part)
        guard !time.isKnown(percentile, of: offered) else { return nil }
        return "\(text) was asked for, and of \(offered) jobs only \(Int(time.count) - time.missing) have such a time"
    }

    fileprivate func describe(_ value: Double) -> String {
        switch measure {
        case .time: Report.milliseconds(value)
        case .count: "\(Int(value))"
        case .achieved: Report.percent(value)
        case .fairness: Report.rounded(value, 3)
        }
    }

    private static func unreadable(_ text: String) -> LoadTestError {
        LoadTestError(
            .badGoal,
            "“\(text)” is no goal: take p50, p99, p99.9, max (or \(Goals.parts.map { "\($0).p99" }.joined(separator: ", "))) with a time "
                + "such as <50ms; \(Goals.counts.joined(separator: ", ")) with a number; achieved>=99%; fairness>=0.95")
    }
}

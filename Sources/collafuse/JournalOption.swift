import ArgumentParser
import Foundation
import Journal

/// Where a broker keeps jobs: `sqlite:FILE` or `memory`.
enum JournalOption: ExpressibleByArgument, Sendable {
    /// What a broker calls itself in its journal's lock: whoever wants it to drain looks there.
    static let brokerRole = "broker"

    case memory
    case sqlite(URL)

    init?(argument: String) {
        if argument == "memory" {
            self = .memory
        } else if argument.hasPrefix("sqlite:"), argument.count > 7 {
            self = .sqlite(URL(filePath: String(argument.dropFirst(7))))
        } else {
            return nil
        }
    }

    /// Where a broker keeps it that was told nothing else.
    static func file(besideKit kit: String) -> URL { URL(filePath: kit).appending(path: "journal.sqlite") }

    func make() -> any JobJournal {
        switch self {
        case .memory: VolatileJournal(random: SystemRandomNumberGenerator())
        case .sqlite(let url):
            DurableJournal { () throws(JournalError) in try SQLiteStore(url, as: Self.brokerRole) }
        }
    }
}

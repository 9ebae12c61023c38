import ArgumentParser
import Foundation
import Journal

/// Where a broker keeps jobs: `sqlite:FILE` or `memory`.
enum JournalOption: ExpressibleByArgument, Sendable {
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

    func make() -> any JobJournal {
        switch self {
        case .memory: VolatileJournal(random: SystemRandomNumberGenerator())
        case .sqlite(let url):
            DurableJournal { () throws(JournalError) in try SQLiteStore(url) }
        }
    }
}

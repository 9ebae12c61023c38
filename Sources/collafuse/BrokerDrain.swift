import ArgumentParser
import Disk
import Foundation
import Journal

/// `collafuse broker drain`
struct BrokerDrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Let a running broker finish what it has and end.",
        discussion: """
            New jobs are refused with DRAINING, which makes clients that know another broker go there once their jobs here are done. \
            Jobs under way go on, results are handed out. The broker ends when nothing is under way, or after its --drain-limit: \
            then what is left stays in its journal, and clients who are here take it to another broker.

              collafuse broker drain --kit nodes/broker

            It is found by its journal's lock; for a broker without one send SIGUSR1 to its process.
            """)

    @Option(help: ArgumentHelp("The broker's kit, if the journal lies beside it.", valueName: "folder"))
    var kit: String?

    @Option(help: ArgumentHelp("The journal, as the broker's own --journal: sqlite:FILE.", valueName: "where"))
    var journal: JournalOption?

    func run() async throws {
        let journal = try Jobs.Place.url(kit: kit, journal: journal)
        let lock = SQLiteStore.lockFile(of: journal)
        func holder() throws -> FileLock.Holder? {
            do { return try FileLock.holder(of: lock) } catch { throw CommandFailure(error.message) }
        }
        guard let broker = try holder() else { throw CommandFailure("no broker runs on \(journal.path)") }
        // The signal ends a process that does not expect it.
        guard broker.role == JournalOption.brokerRole else {
            throw CommandFailure(
                "no broker runs on \(journal.path): it is in use by process \(broker.process), which is none")
        }
        guard let process = pid_t(broker.process), process > 1, kill(process, SIGUSR1) == 0 else {
            throw CommandFailure(
                "the broker's process (\(broker.process)) cannot be told: send it SIGUSR1 as its own user")
        }
        print("told process \(process); waiting for it to end")
        while try holder() == broker { try await Task.sleep(for: .milliseconds(200)) }
        print("drained: process \(process) has ended")
    }
}

import ArgumentParser
import Foundation
import Trust

/// `collafuse keys pool`
struct KeysPool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pool", abstract: "Make the next pool keys, wrapped to every certified worker.",
        discussion: """
            Clients seal to the newest key, and workers open the older ones too until these end, so nothing is lost when this is \
            run while jobs are under way. Run it at least once a day, and after a worker was added.
            """)

    @Option(help: "Hours until the keys are destroyed; clients seal to them for five sixths of it.")
    var hours: Int64 = 24

    @OptionGroup var folder: OperatorOptions

    func validate() throws {
        guard (1...24).contains(hours) else {
            throw ValidationError("--hours is 1 to 24: a pool key lives a day at most")
        }
    }

    func run() throws {
        let now = Keys.now
        let signer = try Operator(opening: folder.url, now: now)
        let keys = try signer.makePoolKeys(now: now, lifetime: hours * 3_600_000)
        print("pool keys of epoch \(keys.epoch); give every node a copy of \(signer.deploymentFolder.path)")
    }
}

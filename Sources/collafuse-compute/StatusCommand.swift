import ArgumentParser
import CollaFuseClient
import Foundation

/// `collafuse client status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "What this client has given away, what it waits for, and how the pool is doing.",
        discussion: """
            Ledger and spool are this client's own: what has left it, and which jobs still wait to be sent or for their result. What \
            the broker says of jobs and workers is a hint; without a broker the rest is said all the same.
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var client: HomeOptions

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    @Option(name: .long, help: ArgumentHelp("How long to wait for the broker.", valueName: "seconds"))
    var wait = 5.0

    func validate() throws {
        guard wait >= 0, wait <= 86_400 else { throw ValidationError("--wait is a number of seconds, a day at most") }
    }

    func run() async throws {
        let client = try client.open(node)
        defer { client.close() }
        let status = try await client.status(waiting: .seconds(wait))
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            print(String(decoding: try encoder.encode(status), as: UTF8.self))
        } else {
            print(status.text)
        }
    }
}

import ArgumentParser
import CollaFuseClient
import Foundation

/// `collafuse client status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "What this client has given away, what it waits for, and how the pool is doing.",
        discussion: "What the broker says of jobs and workers is a hint; what the ledger says is this client's own.")

    @OptionGroup var node: NodeOptions
    @OptionGroup var client: HomeOptions

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    func run() async throws {
        let client = try client.open(node)
        defer { client.close() }
        let status = try await client.status()
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            print(String(decoding: try encoder.encode(status), as: UTF8.self))
        } else {
            print(status.text)
        }
    }
}

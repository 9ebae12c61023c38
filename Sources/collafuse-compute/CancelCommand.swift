import ArgumentParser
import CollaFuseClient

/// `collafuse client cancel`
struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Give up the requests for samples that are under way.",
        discussion: """
            For those of a `sample` that was stopped: they go on at the workers, so that the same command finds them done. After this \
            they do not: a worker drops one before its next step. What was published stays.
            """)

    @OptionGroup var node: NodeOptions
    @OptionGroup var client: HomeOptions

    func run() async throws {
        let client = try client.open(node)
        defer { client.close() }
        let count = try await client.cancelSampling()
        print(count == 1 ? "1 request cancelled" : "\(count) requests cancelled")
    }
}

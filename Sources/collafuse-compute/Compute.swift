import ArgumentParser

/// The subcommands that compute with tensors. `collafuse worker …`, `collafuse client …` and the like end here.
@main
struct Compute: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collafuse",
        abstract: "The half of collafuse that computes with tensors.",
        subcommands: [Work.self, ClientCommand.self, Model.self, Report.self, BaselineCommand.self])
}

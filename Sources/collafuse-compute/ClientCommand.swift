import ArgumentParser

/// `collafuse client`
struct ClientCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client",
        abstract: "A data owner's side: publish masked images, train the head, sample.",
        discussion: """
            Your images stay in this process. Only images noised to the cut leave it, with their labels: each masked once, or with \
            `publish --policy fresh` anew for every epoch; `publish` says what that gives away. Everything a client must remember \
            (masking key, ledger, spool, head) is in --home: `publish` makes it, and so does `train`; keep it. A client has one home, \
            and one process at a time may use it.

            A client that was stopped or killed goes on where it was when the same command is given again.
            """,
        subcommands: [Publish.self, Train.self, SampleCommand.self, StatusCommand.self, CancelCommand.self])
}

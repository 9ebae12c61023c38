import ArgumentParser
import Foundation
import Trust

/// `collafuse keys init`
struct KeysInit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Begin a deployment: operator root, signer, empty roster.")

    @Argument(help: ArgumentHelp("A new folder.", valueName: "dir"), completion: .directory)
    var folder = "keys"

    func run() throws {
        let made = try Operator.create(in: URL(filePath: folder), now: Keys.now)
        print(
            """
            root \(made.root.text)
            Nodes pin this root: tell it to them over a channel of its own.
            Take \(folder)/operator/root.key off this machine; the signer works without it for 30 days.
            """)
    }
}

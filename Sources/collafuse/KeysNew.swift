import ArgumentParser
import Foundation
import Trust

/// `collafuse keys new`
struct KeysNew: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Make a node's keys on the node itself; the operator certifies the public half.")

    @Argument(help: "client, worker or broker.")
    var kind: NodeKind

    @Argument(help: "1 to 40 of a–z, 0–9, - and _.")
    var name: String

    @Option(help: ArgumentHelp("A new folder for the keys.", valueName: "dir"), completion: .directory)
    var kit = "kit"

    func run() throws {
        _ = try NodeKit.generate(kind, name: NodeName(name), in: URL(filePath: kit))
        print(
            """
            \(kit)/secret.key    stays here, readable by you alone
            \(kit)/node.request  goes to the operator: collafuse keys add \(kind.rawValue) \(name) --request node.request
            """)
    }
}

extension NodeKind: ExpressibleByArgument {}

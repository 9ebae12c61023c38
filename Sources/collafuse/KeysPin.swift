import ArgumentParser
import Foundation
import Trust

/// `collafuse keys pin`
struct KeysPin: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin",
        abstract: "Trust a deployment folder's root from now on, once it is the one the operator read out.")

    @Argument(help: ArgumentHelp("The deployment folder.", valueName: "dir"), completion: .directory)
    var deployment: String

    @Option(help: ArgumentHelp("The node's kit.", valueName: "dir"), completion: .directory)
    var kit: String

    @Option(help: ArgumentHelp("The root, as the operator told it over another channel: 64 digits.", valueName: "hex"))
    var root: String

    func run() throws {
        let folder = URL(filePath: deployment)
        let deployed = try Deployment(opening: folder, pinned: nil, now: Keys.now)
        guard deployed.root.text == root.lowercased() else {
            throw TrustError(
                .untrusted, "the folder's root is \(deployed.root.text), not the one you were told: do not use it"
            )
        }
        let node = try NodeKit(opening: URL(filePath: kit))
        try node.pin(deployed.root, in: URL(filePath: kit))
        print("\(node.name) trusts the root \(root.prefix(8))…")
    }
}

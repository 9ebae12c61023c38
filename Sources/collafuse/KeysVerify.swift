import ArgumentParser
import Foundation
import Trust

/// `collafuse keys verify`
struct KeysVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check that a node can work with its kit and its copy of the deployment folder.")

    @Argument(help: ArgumentHelp("The deployment folder.", valueName: "dir"), completion: .directory)
    var deployment = "keys/public"

    @Option(help: ArgumentHelp("The node's kit.", valueName: "dir"), completion: .directory)
    var kit: String

    func run() throws {
        let folder = URL(filePath: deployment)
        let node = try NodeKit(opening: URL(filePath: kit))
        let deployed = try Deployment(opening: folder, pinned: node.pinnedRoot(), now: Keys.now)
        for line in try deployed.verify(node, folder: folder, at: Keys.now) { print("ok  \(line)") }
    }
}

import ArgumentParser
import Foundation
import Trust

/// `collafuse keys show`
struct KeysShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "List what a deployment folder says: clients, workers, brokers, runs, pool keys."
    )

    @Argument(help: ArgumentHelp("The deployment folder.", valueName: "dir"), completion: .directory)
    var deployment = "keys/public"

    func run() throws {
        print(try Deployment(opening: URL(filePath: deployment), pinned: nil, now: Keys.now).summary(at: Keys.now))
    }
}

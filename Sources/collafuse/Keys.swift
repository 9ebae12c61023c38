import ArgumentParser
import Foundation

/// `collafuse keys`
struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make and check the keys of a deployment.",
        discussion: """
            The operator begins a deployment, certifies nodes and a run, and makes pool keys, a day's worth at a time:

              collafuse keys init keys
              collafuse keys add broker broker --keys keys
              collafuse keys add worker trainer --roles train --keys keys
              collafuse keys run topology/quickstart.yaml --keys keys
              collafuse keys pool --keys keys

            A client's keys are best made by the client, who hands over the public half and gets the deployment folder back:

              client:    collafuse keys new client clinic --kit kit
              operator:  collafuse keys add client clinic --request node.request
              client:    collafuse keys pin public --kit kit --root 1f2e…

            The root is read out over another channel, such as the telephone.

            keys/public is the deployment folder: it holds nothing secret, and every node gets a copy. Take \
            keys/operator/root.key off the machine.
            """,
        subcommands: [
            KeysInit.self, KeysNew.self, KeysAdd.self, KeysRun.self, KeysPool.self, KeysPin.self, KeysShow.self,
            KeysVerify.self,
        ])

    /// Unix time in milliseconds.
    static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}

/// Where the operator's folder is: of every subcommand that signs.
struct OperatorOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The operator's folder.", valueName: "dir"), completion: .directory)
    var keys = "keys"

    var url: URL { URL(filePath: keys) }
}

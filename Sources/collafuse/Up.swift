import ArgumentParser
import Foundation
import Launch
import Topology
import Trust

/// `collafuse up`
struct Up: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start every node of a topology on this machine, each as its own process.",
        discussion: """
            Makes keys on the spot, starts the broker, the workers and the clients, restarts what crashes, and ends when every \
            client has done what the topology says. Ctrl-C stops all of it.

              collafuse up topology/quickstart.yaml
              collafuse up topology/quickstart.yaml --set run.cut=700 --set clients.north.head.images=20000 --out out/cut-700

            What a run makes goes to the topology's `out` folder, which the next run empties.
            """)

    @Argument(help: ArgumentHelp("The topology.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Change a value: clients.north.cut=300. Repeat it for several.", valueName: "key=value"))
    var overrides: [String] = []

    @Option(
        name: .long, help: ArgumentHelp("Where everything goes, instead of the topology's `out`.", valueName: "dir"),
        completion: .directory)
    var out: String?

    @Flag(name: .long, help: "Say what would be started, and start nothing.")
    var dryRun = false

    func run() throws {
        let topologyURL = URL(filePath: file)
        let topology = try Topology(contentsOf: topologyURL, overrides: overrides)
        try topology.checkExposure()
        let binaries = LaunchPlan.Binaries(collafuse: ComputeBinary.own, compute: try ComputeBinary.url())
        let outURL = URL(filePath: out ?? topology.out)
        let folder = dryRun ? RunFolder(planning: outURL) : try RunFolder(emptying: outURL)
        let keys = folder.keys
        let plan = LaunchPlan(
            topology, topologyFolder: topologyURL.deletingLastPathComponent(), folder: folder,
            deployment: keys.appending(path: "public"), kit: { keys.appending(path: "nodes/\($0)") }, binaries: binaries
        )
        if dryRun { return print(plan.text) }

        _ = try DeploymentKeys.make(for: topology, in: keys, now: Int64(Date().timeIntervalSince1970 * 1000))
        try PlanRecord(topology, topologyFolder: topologyURL.deletingLastPathComponent()).write(to: folder.plan)
        let stopRequests = try StopRequests()
        let watch = stopRequests.watchSignals()
        var supervisor = try Supervisor(
            plan, settings: .init(logs: folder.logs, record: folder.nodes), stopRequests: stopRequests)
        let outcome = try withExtendedLifetime((watch, folder)) { try supervisor.run() }
        switch outcome {
        case .success: break
        case .stopped:
            print(
                """
                stopped. What was made so far is in \(folder.url.path): models, the clients' homes, what each node said. The next \
                run there empties it; to keep it, name another folder with --out.
                """)
            throw ExitCode(130)  // as a shell says of Ctrl-C
        case .failure(let reason):
            print("failed: \(reason)\nWhat each node said is above, and in \(folder.logs.path)")
            throw ExitCode.failure
        }
    }
}

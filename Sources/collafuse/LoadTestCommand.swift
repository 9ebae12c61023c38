import ArgumentParser
import Chain
import CommandOptions
import Foundation
import LoadTest
import Topology

/// `collafuse loadtest`
struct LoadTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loadtest",
        abstract: "Load a deployment with thousands of synthetic clients and say what came of it.",
        discussion: """
            All on this machine, a broker and stub workers included:

              collafuse loadtest --local --clients 1000 --stage 10s@200 --stage 20s@200..1000

            Against a broker elsewhere, whose deployment folder names the synthetic clients:

              collafuse loadtest keys load --clients 1000 --workers 4
              collafuse broker --deployment load/public --kit load/nodes/broker
              collafuse worker --engine stub:5ms --workers 4 --deployment load/public --kit load/nodes/worker \\
                  --broker tcp://127.0.0.1:5611
              collafuse loadtest --keys load --broker tcp://127.0.0.1:5610 --plan topology/loadtest.yaml

            Jobs come due by the plan alone, and times are counted from then: a system that falls behind is not asked less. Every \
            result is opened and held against what must come. docs/loadtest.md says how to read the report.
            """,
        subcommands: [LoadTestRun.self, LoadTestKeys.self], defaultSubcommand: LoadTestRun.self)
}

/// `collafuse loadtest keys`
struct LoadTestKeys: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Make the keys of a load test, or renew them.",
        discussion: """
            Makes an operator's folder with a broker, workers and a run, and puts the synthetic clients into its roster; all their \
            keys grow from one secret in nodes/synthetic. Where there is an operator's folder already, it gets the clients, and \
            the workers it lacks. Pool keys are good for a day: run it again then.

            A folder whose roster has synthetic clients is for tests: whoever has nodes/synthetic is every one of them.
            """)

    @Argument(help: ArgumentHelp("The operator's folder.", valueName: "dir"), completion: .directory)
    var folder: String

    @Option(help: ArgumentHelp("Synthetic clients.", valueName: "n"))
    var clients = 1_000

    @Option(help: ArgumentHelp("Workers, as nodes/worker-1, worker-2, …", valueName: "n"))
    var workers = 4

    @Option(
        help: ArgumentHelp("Brokers: nodes/broker, or of several nodes/broker-1, nodes/broker-2, …", valueName: "n"))
    var brokers = 1

    @Option(help: ArgumentHelp("Of a new run: channels, height and width of images.", valueName: "CxHxW"))
    var image = ImageSize(channels: 3, height: 32, width: 32)

    func validate() throws {
        guard (1...LoadPlan.largestClients).contains(clients) else {
            throw ValidationError("--clients is 1 to \(LoadPlan.largestClients)")
        }
        guard (0...1024).contains(workers) else { throw ValidationError("--workers is 0 to 1024") }
        guard (1...64).contains(brokers) else { throw ValidationError("--brokers is 1 to 64") }
    }

    func run() throws {
        try LoadKeys.make(
            .init(clients: clients, workers: workers, brokers: brokers, image: image.shape()),
            in: URL(filePath: folder), now: Keys.now)
        print(
            "\(clients) synthetic clients and \(workers) workers are certified; the deployment folder is \(folder)/public"
        )
    }
}

/// `3x32x32`
struct ImageSize: ExpressibleByArgument {
    let channels: Int
    let height: Int
    let width: Int

    init(channels: Int, height: Int, width: Int) {
        self.channels = channels
        self.height = height
        self.width = width
    }

    init?(argument: String) {
        let sides = argument.split(separator: "x", omittingEmptySubsequences: false).compactMap { Int($0) }
        guard sides.count == 3, argument.count(where: { $0 == "x" }) == 2 else { return nil }
        self.init(channels: sides[0], height: sides[1], width: sides[2])
        guard (try? shape()) != nil else { return nil }
    }

    var defaultValueDescription: String { "\(channels)x\(height)x\(width)" }

    func shape() throws -> RunDescriptor.ImageShape {
        try RunDescriptor.ImageShape(channels: channels, height: height, width: width)
    }
}

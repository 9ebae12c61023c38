import ArgumentParser
import CommandOptions
import Foundation
import Logging
import Observability
import Wire

/// What every node of a deployment is told: who it is, whom it trusts, where the broker is.
struct NodeOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The deployment folder: the operator's root key, roster, certificates and run.", valueName: "dir"),
        completion: .directory)
    var deployment: String

    @Option(
        name: .long,
        help: ArgumentHelp("This node's own secret keys, as `collafuse keys add` made them.", valueName: "dir"),
        completion: .directory)
    var kit: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A broker's endpoint, such as tcp://broker:7701. Repeat it for several.", valueName: "endpoint"))
    var broker: [String]

    @Option(
        name: .long,
        help: ArgumentHelp("The first digits of the run's id, where the deployment has several runs.", valueName: "id"))
    var run: String?

    @Option(
        name: .long, help: ArgumentHelp("Append measurements to this file, one JSON object a line.", valueName: "file"))
    var metrics: String?

    @OptionGroup var log: LogOptions

    func validate() throws {
        if let fault = BrokerEndpoint.fault(in: broker) { throw ValidationError(fault) }
    }
}

extension NodeOptions {
    /// - Parameter role: what the lines are labelled with.
    func logger(_ role: String) throws -> Logger { log.logger(role) }

    /// nil: nobody asked for measurements.
    func metricsLog() throws -> MetricsLog? {
        try metrics.map { try MetricsLog(appendingTo: URL(filePath: $0), node: URL(filePath: kit).lastPathComponent) }
    }
}

/// Which private images a client works with.
struct ImageOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "A folder of PNG or JPEG files (a sub-folder a label), or a safetensors file with `images` and `labels`.",
            valueName: "path"))
    var images: String

    @Option(
        name: .long,
        help: ArgumentHelp("Only images of these labels, such as 0,1,2. All when left out.", valueName: "labels"))
    var labels: String?

    @Option(name: .long, help: ArgumentHelp("`train`, `held-out` or `all`.", valueName: "split"))
    var split = "train"
}

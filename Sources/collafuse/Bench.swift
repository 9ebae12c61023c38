import ArgumentParser
import BrokerBench
import CommandOptions
import Foundation

/// `collafuse bench`
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure this project against others.",
        subcommands: [
            BrokerBenchCommand.self, DenoiseBenchForward.self, DeviceCheckForward.self, BareCommand.self,
            CrowdCommand.self,
        ])
}

/// `collafuse bench broker`
struct BrokerBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "broker",
        abstract: "Measure the broker against libzmq's proxy and other brokers on this machine.",
        discussion: """
            Both sides take turns in one run, through the same sockets with the same bytes; what counts is the ratio. Leave the machine \
            alone meanwhile. docs/benchmarks.md says what each row is.

              collafuse bench broker --json bench.json
              collafuse bench broker --rows memory --rows durable --rounds 3
              ops/bench/peers/peer install && collafuse bench broker --peers
            """)

    @Option(
        help: ArgumentHelp("Write the figures to this file.", valueName: "file"),
        completion: .file(extensions: ["json"]))
    var json: String?

    @Option(
        help: ArgumentHelp(
            "Only this: \(BrokerBench.Row.allCases.map(\.rawValue).joined(separator: ", ")). Repeat it.",
            valueName: "row"))
    var rows: [BrokerBench.Row] = []

    @Flag(help: "RabbitMQ, Redis and NATS too, where they are installed.")
    var peers = false

    @Flag(help: "As little as shows that everything works; the figures mean nothing.")
    var quick = false

    @Option(help: ArgumentHelp("Length of each measurement. (default: 5)", valueName: "s"))
    var seconds: Double?

    @Option(help: ArgumentHelp("Turns; a ratio is their median. (default: 5)", valueName: "n"))
    var rounds: Int?

    @Option(help: ArgumentHelp("Where journals are put. (default: with temporary files)", valueName: "dir"))
    var folder: String?

    func validate() throws {
        guard seconds ?? 1 > 0, rounds ?? 1 > 0 else { throw ValidationError("--seconds and --rounds must be above 0") }
    }

    func run() async throws {
        var settings = BrokerBench.Settings(binary: ComputeBinary.own)
        if quick { settings.makeQuick() }
        if peers { settings.rows = BrokerBench.Row.allCases }
        if !rows.isEmpty { settings.rows = rows }
        settings.seconds = seconds ?? settings.seconds
        settings.rounds = rounds ?? settings.rounds
        settings.folder = folder.map { URL(filePath: $0) }
        let file = try json.map { try ReportFile($0) }
        let figures = try await BrokerBench(settings) { print($0) }.run()
        print(figures.text)
        try file?.write(figures.json)
    }
}

extension BrokerBench.Row: ExpressibleByArgument {}

/// What `collafuse bench broker` holds the broker against; nobody else starts it.
struct BareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bare", abstract: "Stand where a broker would, and be none.", shouldDisplay: false)

    @Argument var kind: BareServer.Kind
    @Option var kit: String
    @Option var announce: String

    func run() async throws {
        try await BareServer.run(kind, kit: URL(filePath: kit)) { [announce] clients, workers in
            announceReadiness(in: announce, clients: clients, workers: workers)
        }
    }
}

extension BareServer.Kind: ExpressibleByArgument {}

/// Clients that sit in session while `collafuse bench broker` measures others; nobody else starts it.
struct CrowdCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crowd", abstract: "Sit in session and say nothing.", shouldDisplay: false)

    @Option var keys: String
    @Option var endpoint: String
    @Option var first: Int
    @Option var count: Int
    @Option var announce: String

    func run() async throws {
        try await Crowd.sit(keys: URL(filePath: keys), at: endpoint, first: first, count: count) { [announce] in
            announceReadiness(in: announce, clients: "", workers: "")
        }
    }
}

/// Whoever waits for the file gives up by itself.
private func announceReadiness(in file: String, clients: String, workers: String) {
    try? JSONEncoder().encode(["clients": clients, "workers": workers])
        .write(to: URL(filePath: file), options: .atomic)
}

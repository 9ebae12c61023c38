import ArgumentParser
import Broker
import CProcess
import CommandOptions
import Exchange
import Foundation
import Journal
import Logging
import Observability
import ServiceLifecycle
import Trust
import UnixSignals

/// `collafuse broker`
struct BrokerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "broker",
        abstract: "Pass jobs from clients to workers and results back, without being able to read either.",
        discussion: """
            A deployment may have several brokers, which share nothing: clients and workers that are told of all of them \
            (--broker NAME@ENDPOINT, repeated) go on at the others when one is gone or drains. See `collafuse broker run --help` \
            and `collafuse broker drain --help`.
            """,
        subcommands: [BrokerRun.self, BrokerDrain.self], defaultSubcommand: BrokerRun.self)
}

/// `collafuse broker run`, which `collafuse broker` means.
struct BrokerRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Be a broker.",
        discussion: """
            A broker listens on two ports: one for clients, one for workers. It lets in whoever the deployment folder \
            names, by their CURVE keys, and reads the folder again when it changes. What it forwards is sealed: it sees who \
            sends how much to which kind of worker, and no image.

            Its kit (its own key) is made with `collafuse keys`; the deployment folder is the operator's, the same for \
            every node.

              On this machine:
              collafuse broker --deployment public --kit nodes/broker

              For others:
              collafuse broker --deployment public --kit nodes/broker \\
              --clients 'tcp://*:5610' --workers 'tcp://*:5611'

            What it has accepted it has stored: jobs, results and dead letters lie in its journal, a file beside its kit \
            unless --journal names another, and are there again when it is started again, be it after a loss of power. \
            docs/operations.md says what to watch and what to do about a full disk or a damaged file.

            Ctrl-C or SIGTERM ends it within two seconds, having said goodbye to everybody. `collafuse broker drain`, or SIGUSR1, \
            lets it finish what it has first.
            """)

    @Option(help: ArgumentHelp("The deployment folder.", valueName: "folder"))
    var deployment: String

    @Option(help: ArgumentHelp("The broker's kit.", valueName: "folder"))
    var kit: String

    @Option(help: ArgumentHelp("Where clients connect; port * takes a free one.", valueName: "endpoint"))
    var clients = "tcp://127.0.0.1:5610"

    @Option(help: ArgumentHelp("Where workers connect; port * takes a free one.", valueName: "endpoint"))
    var workers = "tcp://127.0.0.1:5611"

    @Option(
        help: ArgumentHelp(
            """
            Where jobs and results are kept: sqlite:FILE, on a local disk, or memory: then they end with the process, and \
            clients submit again what they have no result of. (default: sqlite:KIT/journal.sqlite)
            """, valueName: "where"))
    var journal: JournalOption?

    @Option(
        help: ArgumentHelp(
            "Writes where it listens, as JSON, to this file once it does: for those who let it choose its ports.",
            valueName: "file"))
    var announce: String?

    @Option(help: ArgumentHelp("Appends figures to this file, as JSON lines.", valueName: "file"))
    var metrics: String?

    @Option(
        help: ArgumentHelp("Seconds without progress after which a job is given to another worker.", valueName: "s"))
    var lease = 15

    @Option(
        help: ArgumentHelp(
            "Megabytes of jobs held at most, of all clients; results have 256 MB beside.", valueName: "MB"))
    var hold = 256

    @Option(
        help: ArgumentHelp(
            "Jobs remembered at most, of all clients: those it has, and those that are over until they expire.",
            valueName: "number"))
    var remember = 2_000_000

    @Option(
        help: ArgumentHelp(
            """
            Megabytes of memory at most. What would need more ends the broker; whoever supervises it starts it again, and nothing \
            is lost. (default: no limit)
            """, valueName: "MB"))
    var memory: Int?

    @Option(
        help: ArgumentHelp(
            "Crashes of a worker that ran nothing but a job after which the job is a dead letter.", valueName: "number")
    )
    var crashes = 3

    @Option(help: ArgumentHelp("Seconds that a drain waits for jobs under way.", valueName: "s"))
    var drainLimit = 120

    @OptionGroup var monitoring: MonitoringOptions
    @OptionGroup var logs: LogOptions

    func validate() throws {
        guard (1...86_400).contains(lease) else { throw ValidationError("--lease is 1 to 86400 seconds") }
        guard (0...86_400).contains(drainLimit) else { throw ValidationError("--drain-limit is 0 to 86400 seconds") }
        guard (1...100).contains(crashes) else { throw ValidationError("--crashes is 1 to 100") }
        guard (1...1_000_000).contains(hold) else { throw ValidationError("--hold is 1 to 1000000 MB") }
        guard (1_000...1_000_000_000).contains(remember) else {
            throw ValidationError("--remember is 1000 to 1000000000 jobs")
        }
        guard memory.map({ (128...16_000_000).contains($0) }) ?? true else {
            throw ValidationError("--memory is 128 to 16000000 MB")
        }
    }

    func run() async throws {
        // A seventh of the processor time of a broker under load would go into getting back what was just given away.
        cprocess_keep_heap(64 << 20)
        if let memory {
            // What a peer sends of a message that it never ends lies in libzmq, which has no limit for it.
            let failure = cprocess_limit_memory(memory << 20)
            guard failure == 0 else {
                throw CommandFailure("--memory cannot be set: \(String(cString: strerror(failure)))")
            }
        }
        let journal = journal ?? .sqlite(JournalOption.file(besideKit: kit))
        let kit = try NodeKit(opening: URL(filePath: kit))
        let logger = logs.logger(kit.name.description)
        var settings = BrokerSettings(clients: clients, workers: workers, deployment: URL(filePath: deployment))
        settings.core.lease = Int64(lease) * .second
        settings.core.crashesAllowed = crashes
        settings.drainLimit = Int64(drainLimit)
        settings.core.limits.bytes = hold << 20
        settings.core.limits.remembered = remember
        settings.core.limits.bytesPerClient = min(settings.core.limits.bytesPerClient, hold << 20)
        let metrics = try metrics.map { try MetricsLog(appendingTo: URL(filePath: $0), node: kit.name.description) }
        let shown = monitoring.monitoring(logger)
        let broker = BrokerService(
            settings: settings, kit: kit, journal: { journal.make() }, metrics: metrics, board: shown.board,
            drains: await Self.drainSignals(), logger: logger
        ) { endpoints in
            guard let announce else { return }
            let text: JSONValue = [
                "clients": .string(endpoints[.client] ?? ""), "workers": .string(endpoints[.worker] ?? ""),
            ]
            do { try Data(text.text.utf8).write(to: URL(filePath: announce), options: .atomic) } catch {
                logger.error("Cannot announce the ports", metadata: ["file": "\(announce)", "why": "\(error)"])
            }
        }
        do {
            try await ServiceGroup(
                configuration: ServiceGroupConfiguration(
                    services: shown.services.map { .init(service: $0) } + [
                        .init(service: broker, successTerminationBehavior: .gracefullyShutdownGroup)
                    ],
                    gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
            ).run()
        } catch let error as BrokerError where error.isHopeless {
            FileHandle.standardError.write(Data("Error: \(error)\n".utf8))
            throw ExitCode(EX_DATAERR)
        }
    }

    private static func drainSignals() async -> AsyncStream<Void> {
        let signals = await UnixSignalsSequence(trapping: .sigusr1)
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        Task { for await _ in signals { continuation.yield() } }
        return stream
    }
}

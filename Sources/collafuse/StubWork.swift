import ArgumentParser
import CProcess
import CommandOptions
import Foundation
import Logging
import ServiceLifecycle
import Topology
import Trust
import UnixSignals
import Wire
import Workbench

/// `collafuse worker --engine stub:5ms`
struct StubWork: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Stand in for a worker: open, check and answer jobs without computing anything.",
        discussion: """
            A stub has a worker's keys and says what a worker says; only its answers are made up, from the request alone, so that \
            a load test can tell whether the right one came back. It needs no model and no libtorch.

              collafuse worker --engine stub:5ms --deployment load/public --kit load/nodes/worker-1 --broker tcp://127.0.0.1:5611
              collafuse worker --engine stub:5ms --workers 16 --deployment load/public --kit load/nodes/worker --broker …

            The second starts sixteen in one process, with the kits worker-1 to worker-16.
            """)

    @Option(help: ArgumentHelp("stub:TIME: what a job takes, such as stub:5ms.", valueName: "engine"))
    var engine: StubName

    @Option(help: ArgumentHelp("The deployment folder.", valueName: "dir"), completion: .directory)
    var deployment: String

    @Option(
        help: ArgumentHelp("The worker's kit; with --workers, what the kits' names begin with.", valueName: "dir"),
        completion: .directory)
    var kit: String

    @Option(help: ArgumentHelp("A broker's endpoint for workers. Repeat it for several.", valueName: "endpoint"))
    var broker: [String]

    @Option(
        help: ArgumentHelp("The first digits of the run's id, where the deployment has several runs.", valueName: "id"))
    var run: String?

    @Option(help: "denoise or train; both where the certificate allows both.")
    var role: PoolRole?

    @Option(help: ArgumentHelp("Workers in this process, with the kits KIT-1, KIT-2, …", valueName: "n"))
    var workers: Int?

    @Option(help: ArgumentHelp("Jobs that a worker serves at a time.", valueName: "n"))
    var slots = 8

    @OptionGroup var monitoring: MonitoringOptions
    @OptionGroup var logs: LogOptions

    func validate() throws {
        if let fault = BrokerEndpoint.fault(in: broker) { throw ValidationError(fault) }
        guard workers.map({ (1...1024).contains($0) }) ?? true else { throw ValidationError("--workers is 1 to 1024") }
        guard (1...2048).contains(slots) else { throw ValidationError("--slots is 1 to 2048") }
    }

    func run() async throws {
        cprocess_keep_heap(64 << 20)
        let kits = workers.map { count in (1...count).map { "\(kit)-\($0)" } } ?? [kit]
        let shown = monitoring.monitoring(logs.logger("worker"))
        let board = shown.board.map { WorkerBoard($0, workers: kits.count) }
        var services = shown.services
        for (place, kit) in kits.enumerated() {
            let identity = try WorkerIdentity(
                kit: URL(filePath: kit), deployment: URL(filePath: deployment), brokers: broker, run: run,
                roles: role.map { [$0] }, now: Keys.now)
            let engine = StubEngine(
                desk: identity.desk, run: identity.run, service: UInt64(engine.service.nanoseconds), slots: slots)
            // Twice as many as are served at a time: the next ones wait here, not behind a round trip.
            services.append(
                EngineService(
                    identity, engine: engine, slots: UInt32(2 * slots), board: board, place: place,
                    logger: logs.logger(identity.name)))
        }
        try await ServiceGroup(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logs.logger("worker")
        ).run()
    }
}

/// `stub:5ms`
struct StubName: ExpressibleByArgument {
    let service: Duration

    init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts[0] == "stub", let time = Duration(spelled: parts[1]), time <= .seconds(3600)
        else { return nil }
        service = time
    }

    /// What a command line asks for, however it is written.
    static func isAsked(in arguments: [String]) -> Bool {
        arguments.contains { $0 == "--engine" || $0.hasPrefix("--engine=") }
    }
}

package import Exchange
internal import Fabric
package import Journal
package import Logging
package import Monitoring
package import Observability
internal import ServiceLifecycle
package import Trust
internal import ZeroMQ

/// The broker as a service: its thread, its sockets, its journal, and `BrokerCore` in the middle, which decides.
///
///     let broker = BrokerService(settings: settings, kit: kit, logger: logger) { endpoints in … }
///     try await ServiceGroup(services: [broker], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger).run()
///
/// On graceful shutdown every peer is told BYE, and it ends within two seconds. Cancellation ends it at once. Neither
/// loses a job that was accepted as long as the journal keeps what it was given.
package struct BrokerService: Service {
    package typealias Ready = @Sendable (_ endpoints: [Side: String]) -> Void
    package typealias MakeJournal = @Sendable () throws -> any JobJournal

    private let settings: BrokerSettings
    private let kit: NodeKit
    private let makeJournal: MakeJournal
    private let metrics: MetricsLog?
    private let board: StatusBoard?
    private let drains: AsyncStream<Void>?
    private let logger: Logger
    private let ready: Ready

    /// - Parameters:
    ///   - kit: the broker's own keys.
    ///   - journal: made on the broker's thread; nil: nothing outlives the process.
    ///   - board: where its figures are written, for a monitoring server.
    ///   - drains: whenever it yields: takes no new jobs, and ends once those it has are done, or the limit is over.
    ///   - ready: told where it listens, once it does; on the broker's thread.
    package init(
        settings: BrokerSettings, kit: NodeKit, journal: MakeJournal? = nil, metrics: MetricsLog? = nil,
        board: StatusBoard? = nil, drains: AsyncStream<Void>? = nil, logger: Logger, ready: @escaping Ready = { _ in }
    ) {
        self.settings = settings
        self.kit = kit
        self.makeJournal = journal ?? { VolatileJournal(random: SystemRandomNumberGenerator()) }
        self.metrics = metrics
        self.board = board
        self.drains = drains
        self.logger = logger
        self.ready = ready
    }

    /// - Throws: `BrokerError`, which names the endpoint if that is at fault; `TrustError` for kit and deployment folder.
    package func run() async throws {
        guard kit.kind == .broker else {
            throw BrokerError(.wrongKit, "the kit of \(kit.name) is a \(kit.kind.rawValue)'s, not a broker's")
        }
        let inbox = try Inbox<BrokerRequest>()
        let draining = drains.map { drains in Task { for await _ in drains { inbox.put(.drain) } } }
        defer { draining?.cancel() }
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                try await withCheckedThrowingContinuation { (end: CheckedContinuation<Void, any Error>) in
                    LoopThread.start(named: "broker") {
                        end.resume(
                            with: Result {
                                let loop = try BrokerLoop(
                                    settings: settings, kit: kit, journal: makeJournal(), inbox: inbox,
                                    metrics: metrics, board: board, logger: logger)
                                ready(loop.endpoints)
                                try loop.run()
                            })
                    }
                }
            } onGracefulShutdown: {
                inbox.put(.shutDown)
            }
        } onCancel: {
            inbox.put(.stop)
        }
    }
}

enum BrokerRequest: Sendable {
    /// Take no new jobs; end when those that are here are done.
    case drain
    /// Say goodbye, then end.
    case shutDown
    /// End.
    case stop
}

internal import Exchange
internal import Fabric
internal import Logging
internal import Observability
internal import Sodium
internal import Trust
internal import Wire
internal import ZeroMQ

/// The loop of the broker's thread: wait, let the core decide on everything that happened, store, and only then send.
final class BrokerLoop {
    private let settings: BrokerSettings
    private let journal: any Journal
    private let inbox: Inbox<BrokerRequest>
    private let logger: Logger
    private let directory: Directory
    private let hub: RouterHub
    private var core: BrokerCore
    private var report: BrokerReport

    /// What the core decided in this round.
    private var actions: [BrokerAction] = []
    private var isOver = false
    /// Uptimes of the next look at the deployment folder, status line and line of figures.
    private var nextReload: Int64 = 0
    private var nextStatus: Int64 = 0
    private var nextFigures: Int64 = 0

    var endpoints: [Side: String] { hub.endpoints }

    init(
        settings: BrokerSettings, kit: NodeKit, journal: any Journal, inbox: Inbox<BrokerRequest>,
        metrics: MetricsLog?, logger: Logger
    ) throws {
        self.settings = settings
        self.journal = journal
        self.inbox = inbox
        self.logger = logger
        let directory = try Directory(
            folder: settings.deployment, pinned: kit.pinnedRoot(), now: Moment.now().wall, logger: logger)
        guard directory.deployment.brokers.contains(where: { $0.curveKey == kit.curve.publicKey }) else {
            throw BrokerError(
                .notCertified,
                "no broker of the deployment has the key of \(kit.name)'s kit, so nobody could trust it: the operator "
                    + "certifies it, or the kit is another's")
        }
        self.directory = directory
        let recovery = try storing { try journal.recover() }
        var configuration = settings.core
        configuration.runs = Set(directory.deployment.runs.keys)
        configuration.poolKeys = directory.deployment.brokerPoolKeys
        configuration.keyBundle = directory.deployment.poolKeyBundle
        core = BrokerCore(
            configuration: configuration, broker: recovery.broker, bootEpoch: recovery.bootEpoch,
            recovered: recovery.entries, random: SystemRandomNumberGenerator())
        do {
            hub = try RouterHub(
                context: Context(), settings: settings.hub,
                secret: CurveIdentity(kit.curve).secret, wakeUp: inbox.wakeUp, logger: logger
            ) { directory.principal(behind: $0) }
        } catch {
            throw BrokerError(
                .endpoint, "\(error.message) (--clients, --workers; in a topology broker.clients, broker.workers)")
        }
        report = BrokerReport(
            metrics: metrics, broker: recovery.broker, bootEpoch: recovery.bootEpoch, logger: logger)
        logger.info(
            "Listening",
            metadata: [
                "clients": "\(hub.endpoints[.client] ?? "-")", "workers": "\(hub.endpoints[.worker] ?? "-")",
                "broker": "\(recovery.broker.short)", "epoch": "\(recovery.bootEpoch)",
                "recovered": "\(recovery.entries.count)",
            ])
    }

    func run() throws {
        while !isOver {
            try hub.wait(until: min(core.nextDeadline ?? .max, nextReload, nextStatus, nextFigures))
            let now = Moment.now()
            for request in inbox.takeAll() { handle(request, at: now) }
            for event in try hub.take() { handle(event, at: now) }
            if let deadline = core.nextDeadline, deadline <= now.uptime { actions += core.tick(at: now) }
            doChores(at: now)
            try carryOut()
        }
        try hub.finish()
        report.figures(core.snapshot, hub, directory)
        logger.info("Ended")
    }

    private func handle(_ request: BrokerRequest, at now: Moment) {
        switch request {
        case .shutDown: actions += core.close(at: now)
        case .stop: break
        }
        isOver = true
    }

    private func handle(_ event: HubEvent, at now: Moment) {
        switch event {
        case .message(let connection, let principal, let frames):
            actions += core.receive(frames, from: connection, as: principal, at: now)
        case .garbage(let connection, let principal, let error):
            actions += core.receivedGarbage(error, from: connection, as: principal, at: now)
        case .unreachable(let connection):
            actions += core.unreachable(connection, at: now)
        }
    }

    /// The commit barrier: all of a round is stored by one commit before the first message of the round leaves.
    private func carryOut() throws {
        let round = actions
        actions = []
        let entries = round.compactMap { action in if case .append(let entry) = action { entry } else { nil } }
        if !entries.isEmpty { try storing { try journal.commit(entries) } }
        for action in round {
            switch action {
            case .append: break
            case .send(let frames, let connection): try hub.send(frames, to: connection)
            case .drop(let connection): hub.drop(connection)
            }
        }
    }

    private func doChores(at now: Moment) {
        if now.uptime >= nextReload {
            nextReload = now.uptime + settings.reloadInterval * .second
            directory.refresh(at: now.wall)
            if directory.reload(at: now.wall) {
                let deployment = directory.deployment
                core.serve(runs: Set(deployment.runs.keys))
                actions += core.renew(
                    keyBundle: deployment.poolKeyBundle, poolKeys: deployment.brokerPoolKeys, at: now)
            }
        }
        if now.uptime >= nextStatus {
            nextStatus = now.uptime + settings.statusInterval * .second
            report.status(core.snapshot, hub)
        }
        if now.uptime >= nextFigures {
            nextFigures = now.uptime + settings.metricsInterval * .second
            report.figures(core.snapshot, hub, directory)
        }
    }
}

/// A journal that fails cannot be argued with: the broker ends rather than promise what it cannot keep.
private func storing<Value>(_ body: () throws -> Value) throws(BrokerError) -> Value {
    do { return try body() } catch {
        throw BrokerError(.storage, "the journal cannot store, so the broker ends before it breaks its word: \(error)")
    }
}

internal import Exchange
internal import Fabric
internal import Journal
internal import Logging
internal import Monitoring
internal import Observability
internal import Sodium
internal import Trust
internal import Wire
internal import ZeroMQ

/// The loop of the broker's thread: wait, let the core decide on everything that happened, hand what must be stored to the
/// journal, and send what claims nothing that is not stored. It never waits for a disk.
final class BrokerLoop {
    private let settings: BrokerSettings
    private let journal: any JobJournal
    private let inbox: Inbox<BrokerRequest>
    private let logger: Logger
    private let directory: Directory
    private let hub: RouterHub
    private var core: BrokerCore
    private var report: BrokerReport
    private var barrier = CommitBarrier()
    /// Number of the newest entries that the journal was given.
    private var appended: UInt64 = 0
    private var isRefusing = false
    /// How long nothing was read because too much waited to be stored, in nanoseconds. For the core this time has not
    /// passed: nobody is silent whom nobody listened to.
    private var deaf: Int64 = 0
    /// nil: nobody asked for figures.
    private var board: BrokerBoard?

    /// What the core decided in this round.
    private var actions: [BrokerAction] = []
    private var isOver = false
    /// Uptimes of its end at the latest, and of the next look; nil: nobody asked for one.
    private var drain: (until: Int64, look: Int64)?
    /// Uptimes of the next look at the deployment folder, status line and line of figures.
    private var nextReload: Int64 = 0
    private var nextStatus: Int64 = 0
    private var nextFigures: Int64 = 0
    private var nextPost: Int64

    var endpoints: [Side: String] { hub.endpoints }

    init(
        settings: BrokerSettings, kit: NodeKit, journal: any JobJournal, inbox: Inbox<BrokerRequest>,
        metrics: MetricsLog?, board: StatusBoard?, logger: Logger
    ) throws {
        self.settings = settings
        // Never, when nobody asked.
        nextPost = board == nil ? .max : 0
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
        self.board = board.map { BrokerBoard($0, name: kit.name.description) }
        let start = ContinuousClock.now
        let recovery: Recovery
        do {
            recovery = try journal.start { [wakeUp = inbox.wakeUp] in wakeUp.signal() }
        } catch let error as JournalError {
            throw BrokerError(error.isHopeless ? .journal : .storage, error.message)
        }
        var configuration = settings.core
        configuration.runs = Set(directory.deployment.runs.keys)
        configuration.poolKeys = directory.deployment.brokerPoolKeys
        configuration.keyBundle = directory.deployment.poolKeyBundle
        core = BrokerCore(
            configuration: configuration, broker: recovery.broker, bootEpoch: recovery.bootEpoch,
            recovered: recovery.entries, rights: { directory.rights(of: $0) }, random: SystemRandomNumberGenerator())
        let recovered = core.recoveredJobs
        if recovered != RecoveredJobs() {
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            logger.info(
                "Recovered",
                metadata: [
                    "queued": "\(recovered.queued)", "leased": "\(recovered.leased)",
                    "mailbox": "\(recovered.inMailbox)", "dead": "\(recovered.dead)", "over": "\(recovered.over)",
                    "seconds": "\((seconds * 1000).rounded() / 1000)",
                ])
        }
        var hubSettings = settings.hub
        hubSettings.maximumOutboxBytes[.worker] = settings.core.limits.bytes + settings.core.limits.checkpointBytes
        do {
            hub = try RouterHub(
                context: Context(), settings: hubSettings,
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
            ])
    }

    func run() throws {
        defer { journal.close() }
        while !isOver {
            try wait()
            let now = moment()
            for request in inbox.takeAll() { handle(request, at: now) }
            for event in try hub.take() { handle(event, at: now) }
            if let deadline = core.nextDeadline, deadline <= now.uptime { actions += core.tick(at: now) }
            doChores(at: now)
            try carryOut()
            endDrain(at: now)
        }
        journal.close()
        try carryOut()
        try hub.finish()
        report.figures(core.snapshot, hub, directory, journal.state, isLast: true)
        board?.leave()
        logger.info("Ended")
    }

    private func moment() -> Moment {
        var now = Moment.now()
        now.uptime -= deaf
        return now
    }

    /// Until something happened or is due. While too much waits to be stored, what peers send waits in their sockets.
    private func wait() throws {
        let due = min(
            core.nextDeadline ?? .max, drain.map { $0.look - deaf } ?? .max, nextReload, nextStatus, nextFigures,
            nextPost == .max ? .max : nextPost - deaf)
        guard journal.state.isFull else {
            return try hub.wait(until: due == .max ? nil : due + deaf)
        }
        let start = Moment.now().uptime
        try hub.wait(until: start + .second, isDeaf: true)
        deaf += Moment.now().uptime - start
    }

    private func handle(_ request: BrokerRequest, at now: Moment) {
        switch request {
        case .drain:
            guard drain == nil else { return }
            let uptime = now.uptime + deaf
            drain = (until: uptime + settings.drainLimit * .second, look: uptime)
            actions += core.drain(at: now)
            logger.notice("Draining: no new jobs are taken", metadata: ["jobs": "\(core.undrained)"])
        case .shutDown:
            actions += core.close(at: now)
            isOver = true
        case .stop: isOver = true
        }
    }

    /// Ends a drain when nothing is under way any more, or its time is over: what is left waits in the journal for the next start,
    /// and clients who are here take it to another broker.
    private func endDrain(at now: Moment) {
        // A disk that stands still makes no drain longer.
        let uptime = now.uptime + deaf
        guard let drain, drain.look <= uptime else { return }
        let left = core.undrained
        guard left == 0 && journal.state.stored == appended || uptime >= drain.until else {
            self.drain?.look = uptime + .second / 5
            return
        }
        logger.notice(
            "Drained",
            metadata: ["left": "\(left)", "kept": "\(core.snapshot.jobs - left)", "why": left == 0 ? "done" : "late"])
        actions += core.close(at: now)
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

    /// Hands over what must be stored, and sends what claims nothing that is not.
    private func carryOut() throws {
        let round = actions
        actions = []
        let entries = round.compactMap { action in if case .append(let entry) = action { entry } else { nil } }
        if board != nil {
            let now = Moment.now().uptime
            for entry in entries { board?.observe(entry, at: now) }
        }
        if !entries.isEmpty { appended = journal.append(entries) }
        for case .ended(let key, .deadLetter) in entries { report.deadLetter(key, core.jobReport(key)) }
        let state = journal.state
        try heed(state.health)
        for action in barrier.release(stored: state.stored) { try carryOut(action) }
        for action in barrier.pass(round, after: appended, stored: state.stored) { try carryOut(action) }
    }

    private func carryOut(_ action: BrokerAction) throws {
        switch action {
        case .append: break
        case .send(let frames, let connection):
            try hub.send(frames, to: connection)
            if case .job(let job) = frames.control.body { core.left(job.job, over: connection, at: moment()) }
        case .drop(let connection): hub.drop(connection)
        }
    }

    /// A journal that fails cannot be argued with: the broker ends rather than promise what it cannot keep. One that cannot
    /// store for now stops new jobs only.
    private func heed(_ health: JournalState.Health) throws {
        switch health {
        case .sound:
            if isRefusing { logger.notice("The journal can store again: new jobs are taken") }
            isRefusing = false
        case .refusing(let error):
            if !isRefusing { logger.error("New jobs are refused for now", metadata: ["why": "\(error)"]) }
            isRefusing = true
        case .failed(let error):
            throw BrokerError(.storage, "the broker ends before it breaks its word: \(error)")
        }
        core.takeJobs(!isRefusing)
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
            report.figures(core.snapshot, hub, directory, journal.state)
        }
        // By the clock on the wall, so to speak: a broker that waits for its disk is alive.
        let uptime = now.uptime + deaf
        if uptime >= nextPost {
            nextPost = uptime + .second
            board?.post(
                core, hub, directory, journal.state.figures, hold: settings.core.limits.bytes, obstacle: obstacle)
        }
    }

    /// Why no new jobs are taken; nil: they are.
    private var obstacle: String? {
        if drain != nil { return "draining: new jobs are refused" }
        return isRefusing ? "the journal cannot store: new jobs are refused" : nil
    }
}

package import Exchange
internal import Fabric
package import Foundation
internal import Synchronization
package import Topology
package import Trust
internal import ZeroMQ

/// A load test from the first connection to the last result.
///
///     let run = try LoadRun(plan, keys: keys, brokers: ["tcp://127.0.0.1:5610"], …)
///     let outcome = try await run.run { second in … }
///
/// Its drivers are threads, each with its own share of the clients; this only starts them, adds up what they count and
/// knows when to end.
package final class LoadRun: Sendable {
    package struct Settings: Sendable {
        package var threads = 1
        /// Whether samples must be those of a stub.
        package var isStub = true
        /// Jobs under way in all, and bytes of them and of results not yet opened, beyond which no more are sent.
        package var mostUnderWay = 100_000
        package var mostKept = 512 << 20
        /// How long without a single new session until it is given up.
        package var patience = Duration.seconds(15)
        /// Keeps every job, so that a generator that was killed goes on with those that it has no result of; nil: nothing is kept. For one
        /// thread.
        package var log: URL?
        /// Of every client.
        package var link = LinkConfiguration()

        package init() {}
    }

    private let plan: LoadPlan
    private let keys: LoadKeys
    private let brokers: [BrokerAddress]
    private let settings: Settings
    private let inboxes: [Inbox<Driver.Command>]
    private let boards: [DriverBoard]
    private let isFinishing = Atomic(false)

    /// - Parameter brokers: as `--broker` names them.
    /// - Throws: `badPlan`, `badKeys`, `TrustError`.
    package init(
        _ plan: LoadPlan, keys: LoadKeys, brokers: [String], settings: Settings = Settings(), now: UnixTime
    ) throws {
        if let fault = plan.fault { throw LoadTestError(.badPlan, fault) }
        guard plan.clients <= keys.clients else {
            throw LoadTestError(
                .badKeys,
                "the plan has \(plan.clients) clients, and the keys are for \(keys.clients): run `collafuse loadtest keys` with --clients \(plan.clients)"
            )
        }
        if settings.log != nil, settings.threads > 1 {
            throw LoadTestError(.badPlan, "jobs are kept by one thread only: leave --threads out, or --job-log")
        }
        self.plan = plan
        self.keys = keys
        self.settings = settings
        self.brokers = try BrokerAddress.list(brokers, of: keys.deployment, at: now)
        let threads = min(settings.threads, plan.clients)
        inboxes = try (0..<threads).map { _ in try Inbox() }
        boards = (0..<threads).map { _ in DriverBoard(tenants: plan.tenants.count) }
    }

    /// No further jobs; what is under way is waited for. While clients connect it is the end.
    package func finish() {
        isFinishing.store(true, ordering: .relaxed)
        for inbox in inboxes { inbox.put(.finish) }
    }

    /// - Parameter watch: told once a second how things stand.
    /// - Throws: `unreachable` when clients get no session, `interrupted` when it is finished before they have one; what a driver throws.
    package func run(_ watch: @escaping @Sendable (LoadProgress) -> Void = { _ in }) async throws -> Outcome {
        let context = try Context(maximumSockets: 65_535)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for place in inboxes.indices { group.addTask { try await self.drive(place, context) } }
            defer { for inbox in inboxes { inbox.put(.stop) } }
            let observer = LoadObserver(plan: plan, boards: boards)
            try await connect(group: &group, observer, watch)
            let began = observer.begin()
            for inbox in inboxes { inbox.put(.begin(at: began)) }
            while true {
                try await pause(.seconds(1), &group)
                watch(observer.look())
                if observer.isOver { break }
            }
            return observer.outcome(connections: plan.clients)
        }
    }

    /// A driver that ends with an error ends all.
    private func pause(_ time: Duration, _ group: inout ThrowingTaskGroup<Void, any Error>) async throws {
        // A sleeping task beside the drivers is the clock.
        group.addTask { try await Task.sleep(for: time) }
        try await group.next()
        // What came first may be a driver that was told to stop, with jobs that it did not settle.
        try Task.checkCancellation()
    }

    private func connect(
        group: inout ThrowingTaskGroup<Void, any Error>, _ observer: LoadObserver, _ watch: (LoadProgress) -> Void
    ) async throws {
        var most = 0, idle = Duration.zero
        while true {
            let (welcomed, note) = observer.sessions
            // One that keeps its jobs was begun before, amid whatever is wrong: it goes on with whoever is there.
            if welcomed == plan.clients || (settings.log != nil && welcomed > 0) { return }
            guard !isFinishing.load(ordering: .relaxed) else {
                throw LoadTestError(
                    .interrupted,
                    "ended while clients were connecting (\(welcomed) of \(plan.clients)): no job was sent, so there is no report"
                )
            }
            idle = welcomed > most ? .zero : idle + .milliseconds(100)
            most = max(most, welcomed)
            guard idle < settings.patience else {
                let endpoints = brokers.map(\.endpoint).joined(separator: ", ")
                throw LoadTestError(
                    .unreachable,
                    "\(welcomed) of \(plan.clients) clients have a session with \(endpoints), and no more get one"
                        + (note.isEmpty ? "" : " (\(note))")
                        + ". Is the broker there, and has it the deployment folder that names these clients?")
            }
            watch(observer.connecting())
            try await pause(.milliseconds(100), &group)
        }
    }

    private func drive(_ place: Int, _ context: Context) async throws {
        let driverSettings = Driver.Settings(
            plan: plan, brokers: brokers, place: place, drivers: inboxes.count, isStub: settings.isStub,
            mostUnderWay: max(1, settings.mostUnderWay / inboxes.count),
            mostKept: max(1, settings.mostKept / inboxes.count), link: settings.link, log: settings.log)
        let inbox = inboxes[place], board = boards[place], keys = keys
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (end: CheckedContinuation<Void, any Error>) in
                LoopThread.start(named: "load-\(place)") {
                    end.resume(
                        with: Result {
                            try Driver(driverSettings, context: context, keys: keys, inbox: inbox, board: board).run()
                        })
                }
            }
        } onCancel: {
            inbox.put(.stop)
        }
    }
}

import Broker
import Chain
import Exchange
import Fabric
import Foundation
import Logging
import Sealing
import ServiceLifecycle
import Testing
import Topology
import Trust
import Wire
import Workbench

@testable import LoadTest

/// Keys, a broker and stub workers in this process, over real sockets.
final class LoadScene: Sendable {
    let folder: URL
    let keys: LoadKeys
    /// Endpoints, as `--broker` names them.
    let brokers: [String]
    /// The brokers' own, and how each is told to drain.
    let services: [(end: Task<Void, any Error>, drain: AsyncStream<Void>.Continuation)]
    private let workers: [Task<Void, any Error>]

    static var now: UnixTime { Moment.now().wall }
    private static let quiet = Logger(label: "load") { _ in SwiftLogNoOpLogHandler() }

    /// - Parameter engine: of each worker; a stub of two milliseconds where it is not said.
    init(
        clients: Int, workers: Int = 2, brokers: Int = 1, core: BrokerConfiguration = BrokerConfiguration(),
        engine: (WorkerIdentity) -> any Engine = LoadScene.stub
    ) async throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-load-\(UUID())")
        try LoadKeys.make(
            .init(
                clients: clients, workers: workers, brokers: brokers, image: .init(channels: 1, height: 4, width: 4)),
            in: folder, now: Self.now)
        keys = try LoadKeys(opening: folder, now: Self.now)
        var settings = BrokerSettings(
            clients: "tcp://127.0.0.1:*", workers: "tcp://127.0.0.1:*", deployment: folder.appending(path: "public"))
        settings.core = core
        var services: [(Task<Void, any Error>, AsyncStream<Void>.Continuation)] = []
        var endpoints: [(clients: String, workers: String)] = []
        for name in brokers > 1 ? (1...brokers).map({ "broker-\($0)" }) : ["broker"] {
            let (ports, said) = AsyncStream.makeStream(of: [Side: String].self)
            let (drains, drain) = AsyncStream.makeStream(of: Void.self)
            let service = BrokerService(
                settings: settings, kit: try NodeKit(opening: folder.appending(path: "nodes/\(name)")), drains: drains,
                logger: Self.quiet
            ) { said.yield($0) }
            services.append((Task { try await service.run() }, drain))
            let heard = try #require(await ports.first { _ in true })
            let prefix = brokers > 1 ? "\(name)@" : ""
            endpoints.append((prefix + (heard[.client] ?? ""), prefix + (heard[.worker] ?? "")))
        }
        self.services = services
        self.brokers = endpoints.map(\.clients)
        var tasks: [Task<Void, any Error>] = []
        for number in 1...workers {
            let identity = try WorkerIdentity(
                kit: folder.appending(path: "nodes/worker-\(number)"), deployment: folder.appending(path: "public"),
                brokers: endpoints.map(\.workers), now: Self.now)
            let worker = EngineService(identity, engine: engine(identity), slots: 16, logger: Self.quiet)
            tasks.append(Task { try await worker.run() })
        }
        self.workers = tasks
    }

    static func stub(_ identity: WorkerIdentity) -> any Engine {
        StubEngine(desk: identity.desk, run: identity.run, service: 2_000_000, slots: 8)
    }

    deinit {
        for task in workers + services.map(\.end) { task.cancel() }
        try? FileManager.default.removeItem(at: folder)
    }

    func load(
        _ plan: LoadPlan, threads: Int = 1, link: LinkConfiguration = LinkConfiguration(), log: URL? = nil,
        mostKept: Int? = nil
    ) async throws -> Report {
        var settings = LoadRun.Settings()
        settings.mostKept = mostKept ?? settings.mostKept
        settings.threads = threads
        settings.link = link
        settings.log = log
        return Self.checked(
            try await LoadRun(plan, keys: keys, brokers: brokers, settings: settings, now: Self.now).run())
    }

    /// What holds of every load test, whatever becomes of its jobs: each ends once, and is in the times that all have.
    static func checked(_ outcome: Outcome) -> Report {
        let report = Report(outcome), counts = report.counts, tally = report.tally
        for tenant in tally.tenants {
            #expect(tenant.counts.over == tenant.counts.offered, "\(report.text)")
            #expect(tenant.endToEnd.count == UInt64(tenant.counts.offered), "\(report.text)")
            #expect(tenant.endToEnd.missing == tenant.counts.offered - tenant.counts.done - tenant.counts.late)
        }
        #expect(counts.sent + counts.held == counts.offered)
        #expect(tally.accept.count == UInt64(counts.offered) && tally.lag.count == UInt64(counts.offered))
        #expect(tally.accept.missing == counts.offered - counts.accepted, "\(report.text)")
        #expect(tally.queue.count == UInt64(counts.done + counts.late) && tally.queue.missing == 0)
        #expect(outcome.seconds.reduce(0) { $0 + $1.counts.over } == counts.offered)
        return report
    }
}

/// Answers everything, and samples with a single value that is off by a little.
struct LyingEngine: Engine {
    let orders = WorkQueue<EngineOrder>()
    let identity: WorkerIdentity

    func run(send: @escaping @Sendable (WorkerCore.Command) -> Void) throws {
        while true {
            for order in orders.waitAndTakeAll(atMost: 1) {
                switch order {
                case .job(let assignment):
                    guard case .opened(let job) = identity.desk.open(assignment) else { continue }
                    var answer = StubAnswer.payload(
                        to: job.payload, run: identity.run, times: .init(waited: 0, served: 0))
                    answer.tensors[answer.tensors.count - 4] ^= 1
                    send(identity.desk.answer(answer, to: job, fence: assignment.fence, cost: 1))
                case .stop: return
                case .cancel, .keep: break
                }
            }
        }
    }
}

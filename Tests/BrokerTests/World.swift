import Chain
import Exchange
import Fabric
import Foundation
import Logging
import Monitoring
import Sodium
import Synchronization
import Testing
import Trust
import Wire
import ZeroMQ

@testable import Broker

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A deployment of its own in a temporary folder, and brokers, workers and clients on real sockets in it.
final class World: Sendable {
    let folder: URL
    let op: Operator
    let brokerKit: NodeKit
    let brokerKitFolder: URL
    let run: RunID
    let poolKeys: PoolKeys
    let context: Context

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "broker-\(UUID().uuidString)")
        let now = Moment.now().wall
        op = try Operator.create(in: folder, now: now)
        (brokerKit, brokerKitFolder) = try op.addNode(.broker, name: NodeName("broker"), now: now)
        let descriptor = try RunDescriptor(
            name: "test", schedule: Schedule(.cosine(), timesteps: 100),
            image: .init(channels: 1, height: 8, width: 8), labels: ["a"], backboneConfig: "{}",
            nonce: SecureRandom().bytes(16), created: now)
        run = try op.certify(run: RunDocument(descriptor), now: now).id
        poolKeys = try op.makePoolKeys(now: now)
        context = try Context()
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    static func endpoint(_ port: Int?) -> String { "tcp://127.0.0.1:\(port.map(String.init) ?? "*")" }

    /// Clocks short enough for a test.
    func settings(port: Int? = nil, workerPort: Int? = nil) -> BrokerSettings {
        var settings = BrokerSettings(
            clients: Self.endpoint(port), workers: Self.endpoint(workerPort), deployment: op.deploymentFolder)
        settings.core.heartbeat = 300 * .millisecond
        settings.core.lease = 3 * .second
        settings.core.readoption = 500 * .millisecond
        settings.core.backoff = 20 * .millisecond
        settings.reloadInterval = 1
        return settings
    }

    func node(_ kind: NodeKind, _ name: String) throws -> NodeKit {
        try op.addNode(kind, name: NodeName(name), now: Moment.now().wall).kit
    }

    func poolKey(_ role: PoolRole) throws -> PoolKeyID {
        try poolKeys.sealingKey(for: role, at: Moment.now().wall).id
    }
}

extension NodeKit {
    var identity: CurveIdentity {
        get throws {
            let secret = curve.secret
            return CurveIdentity(
                key: try #require(CurveKey(curve.publicKey)),
                secret: CurveSecret { use in secret.withUnsafeBytes { use($0) } })
        }
    }
}

/// A broker that runs until it is ended.
final class RunningBroker: Sendable {
    let clients: BrokerAddress
    let workers: BrokerAddress
    private let task: Task<Void, any Error>

    init(
        _ world: World, settings: BrokerSettings? = nil, journal: BrokerService.MakeJournal? = nil,
        board: StatusBoard? = nil, drains: AsyncStream<Void>? = nil
    ) async throws {
        let (ports, said) = AsyncStream.makeStream(of: [Side: String].self)
        let broker = BrokerService(
            settings: settings ?? world.settings(), kit: world.brokerKit, journal: journal, board: board,
            drains: drains, logger: quiet
        ) { said.yield($0) }
        let task = Task {
            defer { said.finish() }
            try await broker.run()
        }
        self.task = task
        guard let endpoints = await ports.first(where: { _ in true }) else {
            try await task.value
            throw CancellationError()
        }
        let key = try world.brokerKit.identity.key
        clients = BrokerAddress(endpoint: try #require(endpoints[.client]), key: key)
        workers = BrokerAddress(endpoint: try #require(endpoints[.worker]), key: key)
    }

    static func port(_ address: BrokerAddress) -> Int? { Int(address.endpoint.split(separator: ":").last ?? "") }

    /// Without a word to anybody, as by SIGKILL.
    func kill() async throws {
        task.cancel()
        try await task.value
    }

    /// How it ended by itself.
    var end: Result<Void, any Error> { get async { await task.result } }
}

/// What a link told, to be waited for.
final class Record<Event: Sendable>: Sendable {
    private let events = Mutex<[Event]>([])

    func add(_ event: Event) { events.withLock { $0.append(event) } }
    var all: [Event] { events.withLock { $0 } }
    func count(where fits: (Event) -> Bool) -> Int { all.count(where: fits) }

    /// Waits until as many events fit, for twenty seconds at most.
    func wait(for count: Int = 1, where fits: @Sendable (Event) -> Bool) async throws -> Bool {
        for _ in 0..<4000 {
            if self.count(where: fits) >= count { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return false
    }
}

/// A client made of the real state machine and link; its payloads are any bytes.
final class StubClient: Sendable {
    let id: ClientID
    let events = Record<ClientCore.Event>()
    let reports = Record<LinkReport>()
    private let world: World
    private let link: DealerLink<ClientCore>
    private let task: Task<Void, any Error>

    /// - Parameter taking: what it does over each event, on its link's thread.
    init(
        _ world: World, _ kit: NodeKit, brokers: [BrokerAddress], acknowledging: Bool = true,
        settings: LinkSettings = LinkSettings(), taking: @escaping @Sendable (ClientCore.Event) -> Void = { _ in }
    ) throws {
        self.world = world
        id = ClientID(of: try #require(kit.signing?.publicKey))
        let owner = Held<ClientCore>()
        link = try DealerLink(
            context: world.context, brokers: brokers, identity: kit.identity,
            machine: ClientCore(client: id, random: SystemRandomNumberGenerator()), settings: settings, logger: quiet,
            report: { [reports] in reports.add($0) },
            deliver: { [events] event in
                taking(event)
                events.add(event)
                if acknowledging, case .result(let job, _, _) = event { owner.link?.send(.acknowledge(job)) }
            })
        owner.link = link
        task = Task { [link] in try await link.run() }
    }

    func submit(_ payload: [UInt8], _ kind: WireJobKind = .denoise, life: Int64 = 600_000) throws -> JobID {
        var random = try SecureRandom()
        let now = Moment.now().wall
        let envelope = Envelope(
            client: id, job: JobID.random(using: &random), kind: kind, run: world.run, created: now,
            expires: now + life, poolKey: try world.poolKey(kind == .denoise ? .denoise : .train),
            clientEphemeralKey: random.bytes(32))
        link.send(.submit(envelope, sealed: payload))
        return envelope.job
    }

    func send(_ command: ClientCore.Command) { link.send(command) }

    /// Sealed bytes of the results so far, in the order of their coming.
    var results: [(job: JobID, sealed: [UInt8])] {
        events.all.compactMap { event in
            if case .result(let job, _, let sealed) = event { (job, sealed) } else { nil }
        }
    }

    func waitForResults(_ count: Int) async throws -> Bool {
        try await events.wait(for: count) { if case .result = $0 { true } else { false } }
    }

    func waitForAccepted(_ count: Int = 1) async throws -> Bool {
        try await events.wait(for: count) { if case .accepted = $0 { true } else { false } }
    }

    func stop() async throws {
        link.close()
        try await task.value
    }
}

/// A link that is known only after the closure that uses it.
final class Held<Machine: LinkMachine>: Sendable {
    private let held = Mutex<DealerLink<Machine>?>(nil)
    var link: DealerLink<Machine>? {
        get { held.withLock { $0 } }
        set { held.withLock { $0 = newValue } }
    }
}

/// A worker made of the real state machine and link: it answers a job with its payload reversed.
final class StubWorker: Sendable {
    let id: WorkerID
    let events = Record<WorkerCore.Event>()
    private let link: DealerLink<WorkerCore>
    private let task: Task<Void, any Error>

    /// - Parameter answering: false: it takes jobs and says nothing more of them.
    init(
        _ world: World, _ kit: NodeKit, brokers: [BrokerAddress], roles: Set<WorkerRole> = [.denoise, .train],
        slots: UInt32 = 64, answering: Bool = true
    ) throws {
        let id = WorkerID(of: try #require(kit.signing?.publicKey))
        self.id = id
        let owner = Held<WorkerCore>()
        let offer = WorkerCore.Offer(
            roles: roles, slots: slots, run: world.run, poolKeys: try PoolRole.allCases.map(world.poolKey))
        link = try DealerLink(
            context: world.context, brokers: brokers, identity: kit.identity,
            machine: WorkerCore(offer: offer, random: SystemRandomNumberGenerator()), logger: quiet,
            deliver: { [events] event in
                events.add(event)
                guard answering, case .job(let job) = event else { return }
                owner.link?.send(Self.answer(to: job, as: id))
            })
        owner.link = link
        task = Task { [link] in try await link.run() }
    }

    static func answer(to job: WorkerCore.Assignment, as id: WorkerID) -> WorkerCore.Command {
        let header = ResultHeader(
            client: job.key.client, job: job.key.job, envelopeHash: Digest(of: job.envelope.bytes), fence: job.fence,
            status: .done, worker: id)
        return .result(job.key, job.fence, cost: 10, header: header.bytes, sealed: job.sealed.reversed())
    }

    func send(_ command: WorkerCore.Command) { link.send(command) }

    func waitForJobs(_ count: Int = 1) async throws -> Bool {
        try await events.wait(for: count) { if case .job = $0 { true } else { false } }
    }

    /// Without a word to anybody, as by SIGKILL.
    func kill() async throws {
        task.cancel()
        try await task.value
    }
}

func payload(_ count: Int) throws -> [UInt8] { try SecureRandom().bytes(count) }

import Broker
import Chain
import CollaFuseClient
import Exchange
import Fabric
import Foundation
import Logging
import Sodium
import Testing
import Torch
import Trust
import Wire
import Workbench
import Worker

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A deployment in a temporary folder, with a tiny run of digits, and real brokers, workers and clients in this process.
final class RunWorld: Sendable {
    let folder: URL
    let op: Operator
    let run: CertifiedRun

    static let digits = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "topology/digits/digits.safetensors")
    static let clients = ["north", "east"]

    init(allowedCuts: [Int] = [], labels: [String] = (0..<10).map(String.init)) throws {
        Runtime.threads = 1
        folder = FileManager.default.temporaryDirectory.appending(path: "run-\(UUID().uuidString)")
        let now = Moment.now().wall
        op = try Operator.create(in: folder, now: now)
        try op.addNode(.broker, name: NodeName("broker"), now: now)
        try op.addNode(.worker, name: NodeName("trainer"), grant: .init(roles: [.train]), now: now)
        for name in ["denoiser-1", "denoiser-2"] {
            try op.addNode(.worker, name: NodeName(name), grant: .init(roles: [.denoise]), now: now)
        }
        for name in Self.clients { try op.addNode(.client, name: NodeName(name), now: now) }
        run = try op.certify(
            run: RunDocument(
                RunDescriptor(
                    name: "digits", schedule: Schedule(.cosine(), timesteps: 1000),
                    image: .init(channels: 1, height: 8, width: 8), labels: labels,
                    backboneConfig: Self.network(labels: labels.count), allowedCuts: allowedCuts,
                    nonce: SecureRandom().bytes(16),
                    created: now)), now: now)
        try op.makePoolKeys(now: now)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// Two levels, 8×8 and 4×4.
    private static func network(labels: Int) -> String {
        """
        {"_class_name": "UNet2DModel", "act_fn": "silu", "add_attention": true, "attention_head_dim": 8, \
        "block_out_channels": [16, 32], "center_input_sample": false, "class_embed_type": null, \
        "down_block_types": ["DownBlock2D", "DownBlock2D"], "downsample_padding": 1, "downsample_type": "conv", \
        "dropout": 0.0, "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 1, "layers_per_block": 1, \
        "mid_block_scale_factor": 1, "norm_eps": 1e-5, "norm_num_groups": 8, \
        "num_class_embeds": \(labels == 0 ? "null" : String(labels + 1)), "out_channels": 1, "resnet_time_scale_shift": "default", "sample_size": 8, \
        "time_embedding_type": "positional", "up_block_types": ["UpBlock2D", "UpBlock2D"], "upsample_type": "conv"}
        """
    }

    func kit(_ name: String) throws -> URL { op.kitFolder(try NodeName(name)) }
    func home(_ name: String) -> URL { folder.appending(path: "homes/\(name)") }

    /// - Parameters:
    ///   - home, kit: nil: the client's own.
    ///   - deployment: nil: the world's.
    func client(
        _ name: String = "north", at broker: RunningBroker? = nil, home: URL? = nil, kit: URL? = nil,
        endpoint: String? = nil, deployment: URL? = nil, makesHome: Bool = true, limit: Double? = nil
    ) throws -> CollaFuseClient {
        try CollaFuseClient(
            ClientSettings(
                deployment: deployment ?? op.deploymentFolder, kit: kit ?? self.kit(name),
                home: home ?? self.home(name), makesHome: makesHome,
                // Port 1: nobody listens there.
                brokers: [endpoint ?? broker?.clients ?? "tcp://127.0.0.1:1"], limitDecibels: limit),
            logger: quiet)
    }

    /// A client in a home that another client of this process has just closed.
    func successor(at broker: RunningBroker, home: URL? = nil, kit: URL? = nil) async throws -> CollaFuseClient {
        var client: CollaFuseClient?
        try await wait("the home is free") {
            client = try? self.client(at: broker, home: home, kit: kit)
            return client != nil
        }
        return try #require(client)
    }

    /// The keys of a client as they lie on another machine, where no home is known yet.
    func copiedKit(_ name: String = "north") throws -> URL {
        let copy = folder.appending(path: "copies/\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: copy.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: kit(name), to: copy)
        let home = copy.appending(path: KitHome.name)
        if FileManager.default.fileExists(atPath: home.path) { try FileManager.default.removeItem(at: home) }
        return copy
    }

    func trainer(at broker: RunningBroker, images: Int = 512) throws -> RunningWorker {
        try RunningWorker(trainerSettings(broker.workers, images: images))
    }

    func trainerSettings(_ endpoint: String, images: Int) throws -> WorkerSettings {
        try WorkerSettings(
            role: .train, deployment: op.deploymentFolder, kit: kit("trainer"), brokers: [endpoint],
            registry: folder.appending(path: "models"), state: folder.appending(path: "trainer"),
            training: TrainingSettings(images: images, batch: 32, learningRate: 2e-3, publishEvery: 256))
    }

    func denoiser(_ name: String, at broker: RunningBroker) throws -> RunningWorker {
        try RunningWorker(
            WorkerSettings(
                role: .denoise, deployment: op.deploymentFolder, kit: kit(name), brokers: [broker.workers],
                registry: folder.appending(path: "models"), state: nil, slots: 64))
    }

    /// What lies in the trainer's store, by publication.
    func stored() throws -> [StoredImage] {
        let identity = try WorkerIdentity(trainerSettings("tcp://127.0.0.1:1", images: 1), now: Moment.now().wall)
        let store = try PublicationStore(
            directory: folder.appending(path: "trainer/publications"), key: identity.storageKey)
        let (records, damaged) = try store.recover()
        #expect(damaged.isEmpty)
        return try records.flatMap { record in
            let order = try PublishOrder(WirePayload(decoding: record.payload, as: "publication"), run: run.descriptor)
            return order.publications.map {
                StoredImage(id: $0.id, label: $0.label, cut: order.cut.timestep, values: $0.values)
            }
        }
    }
}

/// All files below a folder, and those of them that others can read or write.
func filesOthersCanReach(below folder: URL) throws -> (seen: [String], open: [String]) {
    var seen: [String] = [], open: [String] = []
    for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path) {
        let attributes = try FileManager.default.attributesOfItem(atPath: folder.appending(path: path).path)
        guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
        seen.append(path)
        if try #require(attributes[.posixPermissions] as? Int) & 0o077 != 0 { open.append(path) }
    }
    return (seen, open)
}

struct StoredImage: Equatable {
    let id: PublicationID
    let label: Int
    let cut: Int
    let values: [Float]
}

/// A broker that runs until it is ended.
final class RunningBroker: Sendable {
    let clients: String
    let workers: String
    private let task: Task<Void, any Error>

    /// - Parameters:
    ///   - ports: of an earlier broker, to listen where it did.
    ///   - deployment: nil: the world's.
    init(_ world: RunWorld, at ports: RunningBroker? = nil, deployment: URL? = nil) async throws {
        var settings = BrokerSettings(
            clients: ports?.clients ?? "tcp://127.0.0.1:*", workers: ports?.workers ?? "tcp://127.0.0.1:*",
            deployment: deployment ?? world.op.deploymentFolder)
        settings.core.heartbeat = 300 * .millisecond
        settings.core.lease = 3 * .second
        settings.core.backoff = 20 * .millisecond
        settings.reloadInterval = 1
        let (said, say) = AsyncStream.makeStream(of: [Side: String].self)
        let broker = BrokerService(settings: settings, kit: try NodeKit(opening: world.kit("broker")), logger: quiet) {
            say.yield($0)
        }
        let task = Task {
            defer { say.finish() }
            try await broker.run()
        }
        self.task = task
        guard let endpoints = await said.first(where: { _ in true }) else {
            try await task.value
            throw CancellationError()
        }
        clients = try #require(endpoints[.client])
        workers = try #require(endpoints[.worker])
    }

    func end() async throws {
        task.cancel()
        try await task.value
    }
}

/// A worker that runs until it is ended.
final class RunningWorker: Sendable {
    private let task: Task<Void, any Error>

    init(_ settings: WorkerSettings, logger: Logger = quiet) throws {
        let service = try WorkerService(settings, metrics: nil, logger: logger)
        task = Task { try await service.run() }
    }

    /// Without a word to the broker, as by SIGKILL.
    func end() async { task.cancel(); _ = await task.result }
}

/// The error that a call must end with.
func clientError(_ body: () async throws -> Void) async throws -> ClientError {
    do { try await body() } catch { return try #require(error as? ClientError, "\(error)") }
    throw NothingThrown()
}

struct NothingThrown: Error {}

/// Where hundreds of tests wait for two threads, each look may come a minute after the one before: so there are always some.
func wait(_ what: String, within seconds: Double = 120, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(seconds)
    var looks = 0
    while !(try await condition()) {
        looks += 1
        guard ContinuousClock.now < end || looks < 100 else {
            Issue.record("\(what): not within \(seconds) s")
            throw CancellationError()
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

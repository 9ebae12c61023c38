import Foundation
import Launch
import Safetensors
import Testing
import Topology
import Trust
import Wire
import Workbench
import Worker

/// Keys of a tiny deployment in a temporary folder, and its nodes as real processes, each started by hand.
final class DeploymentScene {
    let folder: URL
    private var started: [CommandRun.Running] = []

    static let digits = CommandRun.repository.appending(path: "topology/digits/digits.safetensors")
    static let run = """
        run: {name: digits, cut: 500, image: [1, 8, 8], labels: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
              backbone: {channels: [16, 32], layers: 1}}
        """
    private static let topology = """
        \(run)
        workers:
          - {name: trainer, role: train}
          - {name: denoiser-1, role: denoise}
          - {name: denoiser-2, role: denoise}
        clients:
          - {name: north, images: digits}
        """

    /// - Parameter yaml: nil: digits, a trainer, two denoisers and one client.
    init(_ yaml: String? = nil) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "deployment-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let topology = try Topology(yaml: yaml ?? Self.topology, file: "scene")
        _ = try DeploymentKeys.make(for: topology, in: keys, now: Self.now)
    }

    deinit {
        for running in started where running.process.isRunning {
            kill(running.process.processIdentifier, SIGKILL)
            running.process.waitUntilExit()
        }
        try? FileManager.default.removeItem(at: folder)
    }

    private static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

    var keys: URL { folder.appending(path: "keys") }
    var home: URL { folder.appending(path: "north") }
    private var announced: URL { folder.appending(path: "endpoints.json") }
    private var publications: URL { folder.appending(path: "trainer/publications") }
    func kit(_ name: String) -> String { keys.appending(path: "nodes/\(name)").path }
    var deployment: [String] { ["--deployment", keys.appending(path: "public").path] }

    // MARK: nodes

    private func start(_ arguments: [String]) throws -> CommandRun.Running {
        let running = try CommandRun.Running(
            CommandRun.binaries.appending(path: "collafuse"), arguments, in: folder,
            environment: ["OMP_NUM_THREADS": "1"])
        started.append(running)
        return running
    }

    struct Endpoints: Codable {
        var clients: String
        var workers: String
    }

    func broker(at endpoints: Endpoints? = nil, more: [String] = []) throws -> CommandRun.Running {
        try start(
            ["broker", "--kit", kit("broker"), "--clients", endpoints?.clients ?? "tcp://127.0.0.1:*"] + deployment
                + ["--workers", endpoints?.workers ?? "tcp://127.0.0.1:*", "--announce", announced.path]
                + ["--metrics", folder.appending(path: "broker.jsonl").path] + more)
    }

    /// Where the broker listens, once it does.
    func endpoints() async throws -> Endpoints {
        try await poll("the broker listens") { FileManager.default.fileExists(atPath: announced.path) }
        return try JSONDecoder().decode(Endpoints.self, from: Data(contentsOf: announced))
    }

    func trainer(at endpoints: Endpoints, images: Int) throws -> CommandRun.Running {
        try start(
            ["worker", "--role", "train", "--kit", kit("trainer"), "--broker", endpoints.workers] + deployment
                + ["--registry", "models", "--state", "trainer", "--batch", "32", "--images", "\(images)"])
    }

    func denoiser(_ name: String, at endpoints: Endpoints, more: [String] = []) throws -> CommandRun.Running {
        try start(
            ["worker", "--role", "denoise", "--kit", kit(name), "--broker", endpoints.workers, "--registry", "models"]
                + deployment + more)
    }

    func client(
        _ task: String, at broker: String, as name: String = "north", images: String = digits.path, cut: Int? = 500,
        _ more: String...
    ) throws -> CommandRun.Running {
        try start(
            ["client", task, "--kit", kit(name), "--broker", broker, "--home", folder.appending(path: name).path]
                + ["--images", images]
                + deployment + (cut.map { ["--cut", "\($0)"] } ?? []) + more)
    }

    // MARK: what lies on disk

    /// Masked values of one publication.
    typealias Publications = [PublicationID: [UInt8]]

    /// The trainer's store. Every publication must be there once.
    func stored() throws -> Publications { try Self.stored(in: publications, keys: keys) }

    /// What a trainer has in its store.
    static func stored(in publications: URL, keys: URL) throws -> Publications {
        let identity = try WorkerIdentity(
            WorkerSettings(
                role: .train, deployment: keys.appending(path: "public"), kit: keys.appending(path: "nodes/trainer"),
                brokers: ["tcp://127.0.0.1:1"], registry: publications, state: nil), now: now)
        let (records, damaged) = try PublicationStore(directory: publications, key: identity.storageKey).recover()
        #expect(damaged.isEmpty)
        return try Self.publications(records.map(\.payload))
    }

    var storedFiles: Int { Self.storedFiles(in: publications) }

    static func storedFiles(in publications: URL) -> Int {
        let names = try? FileManager.default.contentsOfDirectory(atPath: publications.path)
        return names?.count { $0.hasSuffix(".sealed") } ?? 0
    }

    /// The entries of jobs that the client has not yet forgotten.
    func spooled() throws -> [URL] {
        let folder = home.appending(path: "spool")
        guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
        // By names: the listing by URL looks at each file, and fails where one is renamed meanwhile.
        return try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { !$0.hasPrefix(".") && !$0.hasSuffix(".key") }.map { folder.appending(path: $0) }
    }

    /// What lies in the client's spool: behind a hash and a pool key, of 32 bytes each, the envelope with its length, and the payload
    /// as it is sealed.
    func spooledPublications() throws -> Publications {
        try Self.publications(
            spooled().map {
                let content = try Array(Data(contentsOf: $0)).dropFirst(64)
                return Array(content.dropFirst(2 + Int(content[64]) + Int(content[65]) << 8))
            })
    }

    private static func publications(_ payloads: [[UInt8]]) throws -> Publications {
        var all: Publications = [:]
        for bytes in payloads {
            let payload = try WirePayload(decoding: bytes, as: "payload")
            let masked = try SafetensorsArchive(decoding: payload.tensors).entry("masked").bytes
            let ids = payload.publishRequest.publicationID
            let each = masked.count / max(1, ids.count)
            for (row, bytes) in ids.enumerated() {
                let id = try #require(PublicationID(bytes))
                let start = masked.startIndex + row * each
                #expect(all.updateValue(Array(masked[start..<start + each]), forKey: id) == nil, "\(id) is there twice")
            }
        }
        return all
    }

    /// The ledger's lines of a kind.
    func ledger(_ kind: String) throws -> [String] {
        try String(contentsOf: home.appending(path: "ledger"), encoding: .utf8).split(separator: "\n")
            .filter { $0.hasPrefix(kind + " ") }.map(String.init)
    }

    /// Different digits of these labels that are there to train on.
    static func count(labels: Set<Int>) throws -> Int {
        let archive = try SafetensorsArchive(contentsOf: digits)
        let own = try archive.integers("labels"), split = try archive.integers("split")
        let pixels = Array(try archive.entry("images").bytes)
        return Set(
            own.indices.filter { labels.contains(own[$0]) && split[$0] != 1 }.map {
                Array(pixels[$0 * 64..<($0 + 1) * 64])
            }
        )
        .count
    }

    /// The newest figures of a broker.
    static func figures(_ file: URL) -> BrokerFigures? {
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return nil }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return text.split(separator: "\n").reversed().lazy
            .compactMap { try? decoder.decode(BrokerFigures.self, from: Data($0.utf8)) }.first
    }

    var figures: BrokerFigures? { Self.figures(folder.appending(path: "broker.jsonl")) }
}

struct BrokerFigures: Codable {
    struct Role: Codable {
        var role: String
        var leased: Int
    }

    var redelivered: Int
    var handedBack: Int
    var checkpoints: Int
    var resumed: Int
    var stepsRedone: Int
    var roles: [Role]

    /// Denoise jobs that are under way.
    var denoising: Int { roles.filter { $0.role == "denoise" }.reduce(0) { $0 + $1.leased } }
}

extension CommandRun.Running {
    /// Waits without holding up other tests.
    func end(within seconds: Double = 120) async throws -> CommandRun {
        try await poll("the command ends", within: seconds) { !process.isRunning }
        if process.isRunning {
            Issue.record("it said: \(output)")
            kill()
        }
        return finish()
    }

    /// SIGKILL: the process is told nothing.
    func kill() { Foundation.kill(process.processIdentifier, SIGKILL) }
}

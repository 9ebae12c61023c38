import Fabric
import Foundation
import Testing
import Trust
import Wire

/// `collafuse broker` as a process of its own, on a durable journal, that can be killed and started again.
final class BrokerProcess {
    let journal: URL
    private let world: World
    private let announced: URL
    private let log: URL
    private let process = Process()

    struct Endpoints: Codable {
        var clients: String
        var workers: String
    }

    /// - Parameter endpoints: of an earlier life, so that its peers find it again.
    init(_ world: World, at endpoints: Endpoints? = nil, journal: URL? = nil, more: [String] = []) throws {
        self.world = world
        self.journal = journal ?? world.folder.appending(path: "jobs/journal.sqlite")
        announced = world.folder.appending(path: "endpoints-\(UUID().uuidString).json")
        log = world.folder.appending(path: "broker-\(UUID().uuidString).log")
        let bundle = try #require(CommandLine.arguments.first { $0.hasSuffix(".xctest") }, "the test bundle's path")
        process.executableURL = URL(filePath: bundle).deletingLastPathComponent().appending(path: "collafuse")
        process.arguments =
            [
                "broker", "--deployment", world.op.deploymentFolder.path, "--kit", world.brokerKitFolder.path,
                "--clients", endpoints?.clients ?? World.endpoint(nil), "--workers",
                endpoints?.workers ?? World.endpoint(nil), "--journal", "sqlite:\(self.journal.path)", "--announce",
                announced.path,
            ] + more
        try Data().write(to: log)
        let output = try FileHandle(forWritingTo: log)
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    deinit { kill() }

    var output: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }
    var isRunning: Bool { process.isRunning }
    var identifier: Int32 { process.processIdentifier }

    /// Where it listens, once it does.
    func endpoints() async throws -> Endpoints {
        for _ in 0..<4000 where !FileManager.default.fileExists(atPath: announced.path) && process.isRunning {
            try await Task.sleep(for: .milliseconds(5))
        }
        let data = try #require(FileManager.default.contents(atPath: announced.path), "\(output)")
        return try JSONDecoder().decode(Endpoints.self, from: data)
    }

    func address(_ endpoint: String) throws -> BrokerAddress {
        BrokerAddress(endpoint: endpoint, key: try world.brokerKit.identity.key)
    }

    /// SIGKILL: it is told nothing.
    func kill() {
        guard process.isRunning else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// SIGTERM, or by itself.
    func end(asked: Bool = true) async throws -> Int32 {
        if asked { process.terminate() }
        for _ in 0..<2000 where process.isRunning { try await Task.sleep(for: .milliseconds(5)) }
        try #require(!process.isRunning, "\(output)")
        return process.terminationStatus
    }
}

import Foundation
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A deployment of synthetic clients in a temporary folder: brokers, stub workers and load as real processes, none of which needs
/// libtorch.
final class FleetScene {
    let folder: URL
    let brokers: [String]
    private var started: [CommandRun.Running] = []

    struct Endpoints: Codable {
        let clients: String
        let workers: String
    }

    init(clients: Int, workers: Int = 1, brokers: Int = 1) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "fleet-\(UUID().uuidString)")
        self.brokers = brokers > 1 ? (1...brokers).map { "broker-\($0)" } : ["broker"]
        let made = try run(
            "loadtest", "keys", keys.path, "--clients", "\(clients)", "--workers", "\(workers)", "--brokers",
            "\(brokers)", "--image", "1x8x8")
        try #require(made.status == 0, "\(made.output)")
    }

    deinit {
        for running in started where running.process.isRunning {
            running.kill()
            running.process.waitUntilExit()
        }
        try? FileManager.default.removeItem(at: folder)
    }

    var keys: URL { folder.appending(path: "keys") }
    func kit(_ name: String) -> String { keys.appending(path: "nodes/\(name)").path }
    private var deployment: [String] { ["--deployment", keys.appending(path: "public").path] }

    /// To its end.
    func run(_ arguments: String...) throws -> CommandRun { try run(arguments) }
    func run(_ arguments: [String]) throws -> CommandRun {
        try CommandRun.of(try CommandRun.binaries.appending(path: "collafuse"), arguments)
    }

    func start(_ arguments: [String]) throws -> CommandRun.Running {
        let running = try CommandRun.Running(try CommandRun.binaries.appending(path: "collafuse"), arguments)
        started.append(running)
        return running
    }

    // MARK: nodes

    /// - Parameter endpoints: where it listened before; nil: at free ports.
    /// - Returns: once it listens.
    func broker(
        _ name: String = "broker", at endpoints: Endpoints? = nil, more: [String] = []
    ) async throws -> (process: CommandRun.Running, endpoints: Endpoints) {
        let announced = folder.appending(path: "\(name).json")
        try? FileManager.default.removeItem(at: announced)
        let any = Endpoints(clients: "tcp://127.0.0.1:*", workers: "tcp://127.0.0.1:*")
        let asked = endpoints ?? any
        let running = try start(
            ["broker", "--kit", kit(name), "--clients", asked.clients, "--workers", asked.workers, "--announce"]
                + [announced.path] + deployment + more)
        try await poll("\(name) listens", within: 30) {
            !running.process.isRunning || FileManager.default.fileExists(atPath: announced.path)
        }
        let said = try #require(try? Data(contentsOf: announced), "\(running.output)")
        return (running, try JSONDecoder().decode(Endpoints.self, from: said))
    }

    /// As `--broker` has it, of each.
    func words(_ endpoints: [Endpoints], _ side: KeyPath<Endpoints, String>) -> [String] {
        zip(brokers, endpoints).flatMap { name, endpoints in
            ["--broker", (brokers.count > 1 ? "\(name)@" : "") + endpoints[keyPath: side]]
        }
    }

    func worker(_ kit: String, at endpoints: [Endpoints], more: [String] = []) throws -> CommandRun.Running {
        try start(
            ["worker", "--engine", "stub:5ms", "--kit", self.kit(kit)] + deployment + words(endpoints, \.workers)
                + more)
    }

    func load(at endpoints: [Endpoints], _ more: [String]) throws -> CommandRun.Running {
        try start(["loadtest", "--keys", keys.path] + words(endpoints, \.clients) + more)
    }

    // MARK: figures over HTTP

    /// Where a process that was started with `--metrics-listen 0` shows its figures.
    static func figures(of running: CommandRun.Running) async throws -> String {
        func address() -> Substring? {
            running.output.firstMatch(of: /at=http:\/\/(127\.0\.0\.1:[0-9]+)\/metrics/)?.1
        }
        try await poll("it says where its figures are", within: 30) { address() != nil }
        return String(try #require(address(), "\(running.output)"))
    }

    static func get(_ path: String, from address: String) async throws -> (status: Int, body: String) {
        let url = try #require(URL(string: "http://\(address)\(path)"))
        var request = URLRequest(url: url)
        request.timeoutInterval = 10
        let (data, response) = try await URLSession.shared.data(for: request)
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
    }

    /// Asks until it answers so, or half a minute is over.
    static func ask(
        _ path: String, from address: String, until holds: (_ status: Int, _ body: String) -> Bool
    ) async throws -> (status: Int, body: String) {
        var last = (status: 0, body: "")
        for _ in 0..<150 {
            last = try await get(path, from: address)
            if holds(last.status, last.body) { break }
            try await Task.sleep(for: .milliseconds(200))
        }
        return last
    }

    /// Labels that are not of a few known kinds, or whose values look like somebody's name: there are to be none (a time series for each
    /// client or job would also fill the operator's disk).
    static func strangeLabels(in metrics: String) -> [String] {
        metrics.matches(of: /([A-Za-z_]+)="([^"]*)"/).compactMap { match in
            switch (match.1, match.2) {
            case ("role", "train"), ("role", "denoise"), ("side", "client"), ("side", "worker"): nil
            case ("le", let bound) where bound == "+Inf" || Double(bound) != nil: nil
            default: String(match.0)
            }
        }
    }
}

internal import Chain
internal import CollaFuseClient
internal import Diffusion
internal import Foundation
internal import Launch
internal import Logging
internal import Sodium
internal import Synchronization
internal import Torch
internal import Trust
internal import Wire
internal import Worker

/// A whole deployment on this machine: a broker and workers as processes, and clients here, each with its own keys, home and
/// connection. What is measured goes through sockets, CURVE, sealing, signatures, the broker's journal and the step scheduler.
final class Pool {
    private let clients: [CollaFuseClient]
    private let schedule: Schedule
    private let stopRequests: StopRequests
    private let supervision: Task<Void, any Error>

    /// - Parameter folder: is made, and holds all keys, homes and logs.
    init(_ model: BenchModel, _ bench: DenoiseBench.Settings, in folder: URL) async throws {
        schedule = try BenchModel.schedule()
        let now = UnixTime(Date().timeIntervalSince1970 * 1000)
        let op = try Operator.create(in: folder, now: now)
        try op.addNode(.broker, name: NodeName("broker"), now: now)
        let workerNames = (1...bench.workers).map { "worker-\($0)" }
        for name in workerNames {
            try op.addNode(.worker, name: NodeName(name), grant: .init(roles: [.denoise]), now: now)
        }
        let clientNames = (1...Workload.clients).map { "client-\($0)" }
        for name in clientNames { try op.addNode(.client, name: NodeName(name), now: now) }
        let run = try op.certify(
            run: RunDocument(
                RunDescriptor(
                    name: model.rawValue, schedule: schedule,
                    image: .init(channels: model.channels, height: model.side, width: model.side), labels: [],
                    backboneConfig: model.json, nonce: SecureRandom().bytes(RunDescriptor.nonceLength), created: now)),
            now: now)
        try op.makePoolKeys(now: now)

        let registry = folder.appending(path: "models")
        _ = try ModelRegistry(directory: registry, run: run.id).publish(
            Denoiser(model.network(), on: schedule, labels: 0), imagesSeen: 1, lowestCut: 1, trainedLabels: [])

        let endpoints = folder.appending(path: "endpoints.json")
        let common = ["--deployment", op.deploymentFolder.path]
        let broker = LaunchPlan.Node(
            name: "broker", role: "broker", life: .service(mayEnd: false),
            stages: [
                .init(
                    name: "broker", executable: bench.binaries.appending(path: "collafuse").path,
                    arguments: Self.texts(
                        ["broker"] + common + [
                            "--kit", op.kitFolder(try NodeName("broker")).path, "--clients", "tcp://127.0.0.1:*",
                            "--workers", "tcp://127.0.0.1:*", "--announce", endpoints.path, "--journal", "memory",
                        ]))
            ], readyFile: endpoints.path)
        let slots = Workload.batch / bench.workers, threads = max(1, bench.threads / bench.workers)
        let nodes = try workerNames.map { name in
            LaunchPlan.Node(
                name: name, role: "denoise", life: .service(mayEnd: false),
                stages: [
                    .init(
                        name: "denoise", executable: bench.binaries.appending(path: "collafuse-compute").path,
                        arguments: Self.texts(
                            ["worker", "--role", "denoise"] + common + [
                                "--kit", op.kitFolder(try NodeName(name)).path, "--registry", registry.path,
                                "--slots", "\(slots)", "--threads", "\(threads)", "--dtype", bench.dtype.description,
                                "--broker",
                            ]) + [.value(node: "broker", key: "workers", before: "")],
                        environment: ["OMP_NUM_THREADS": "\(threads)"], needs: [.ready("broker")])
                ])
        }
        let stop = try StopRequests()
        stopRequests = stop
        let plan = LaunchPlan(nodes: [broker] + nodes)
        let settings = Supervisor.Settings(
            logs: folder.appending(path: "logs"), record: folder.appending(path: "nodes.json"), isTerminal: false)
        let ending = Ending()
        supervision = Task {
            defer { ending.come() }
            try await onThread {
                var supervisor = try Supervisor(plan, settings: settings, stopRequests: stop, write: { _ in })
                if case .failure(let reason) = try supervisor.run() {
                    throw BenchError("the pool failed: \(reason); see \(settings.logs.path)")
                }
            }
        }
        while !FileManager.default.fileExists(atPath: endpoints.path) {
            guard !ending.hasCome else {
                try await supervision.value
                throw BenchError("the pool ended before its broker was ready; see \(settings.logs.path)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        let said = try JSONDecoder().decode([String: String].self, from: Data(contentsOf: endpoints))
        guard let endpoint = said["clients"] else { throw BenchError("the broker does not say where it listens") }
        clients = try clientNames.map { name in
            try CollaFuseClient(
                ClientSettings(
                    deployment: op.deploymentFolder, kit: op.kitFolder(NodeName(name)),
                    home: folder.appending(path: "homes/\(name)"), brokers: [endpoint]),
                logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
        }
    }

    private static func texts(_ words: [String]) -> [LaunchPlan.Argument] { words.map { .text($0) } }

    /// Whether the processes have ended.
    private final class Ending: Sendable {
        private let state = Atomic(false)

        var hasCome: Bool { state.load(ordering: .relaxed) }
        func come() { state.store(true, ordering: .relaxed) }
    }

    /// One request, from its submission to its result.
    private struct Done: Sendable {
        let began: ContinuousClock.Instant
        let ended: ContinuousClock.Instant
        let steps: Int
    }

    /// The measured time: it begins when every lane has had its first result.
    private final class Window: Sendable {
        private let state: Mutex<(waiting: Int, start: ContinuousClock.Instant?)>

        init(lanes: Int) { state = Mutex((lanes, nil)) }

        var start: ContinuousClock.Instant? { state.withLock { $0.start } }

        func laneHasBegun() {
            state.withLock {
                $0.waiting -= 1
                if $0.waiting == 0 { $0.start = .now }
            }
        }
    }

    /// Samples·steps a second with all clients at work. A request that lies only partly in the measured time counts by that part.
    func rate(seconds: Double) async throws -> Double {
        let lanes = clients.count * Workload.inFlight
        let window = Window(lanes: lanes)
        let done = try await withThrowingTaskGroup(of: [Done].self) { group in
            for lane in 0..<lanes {
                let client = clients[lane % clients.count]
                group.addTask { [schedule] in
                    var done: [Done] = []
                    var number = lane
                    while true {
                        let began = ContinuousClock.now
                        if let start = window.start, began - start > .seconds(seconds) { return done }
                        let message = try Workload.message(number, on: schedule)
                        _ = try await client.denoise(message)
                        done.append(.init(began: began, ended: .now, steps: message.timestep.count - 1))
                        if done.count == 1 { window.laneHasBegun() }
                        number += lanes + 1  // another kind of request
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        guard let start = window.start else { throw BenchError("no request was answered") }
        let end = start + .seconds(seconds)
        let steps = done.reduce(0) { sum, one in
            let overlap = min(one.ended, end) - max(one.began, start)
            return sum + max(0, overlap / (one.ended - one.began)) * Double(one.steps)
        }
        return steps / seconds
    }

    /// Ends all processes and waits for their end.
    func close() async throws {
        for client in clients { client.close() }
        stopRequests.stop()
        try await supervision.value
    }
}

/// Runs what blocks on a thread of its own.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { (end: CheckedContinuation<Result, any Error>) in
        let thread = Thread { end.resume(with: Swift.Result { try body() }) }
        thread.stackSize = 16 << 20
        thread.start()
    }
}

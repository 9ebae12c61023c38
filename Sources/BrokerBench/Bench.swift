internal import Exchange
internal import Foundation
internal import Observability
internal import Synchronization
internal import ZeroMQ

/// The scene of one run of the bench: keys, and how a load is put on whatever stands in the middle.
struct Bench: Sendable {
    let settings: BrokerBench.Settings
    let folder: URL
    let keys: BenchKeys
    let say: @Sendable (String) -> Void

    /// What stands between clients and workers in one measurement, each time a fresh process.
    enum Between: Sendable {
        case proxy, memory, durable

        var middle: Middle { self == .proxy ? .proxy : .broker }
    }

    struct Seen: Sendable {
        let outcome: Outcome
        /// Processor time of the process in the middle for one job, in microseconds; start and end are in it.
        let microseconds: Double
        /// The same of the clients' and workers' side.
        let ends: Double
        /// nil: it keeps no journal.
        let journal: Server.JournalWork?
        /// Of a job and its result, how many were written to the journal; nil: it keeps none.
        let stored: Double?
        /// Share of the cores' time that the virtual machine's host gave to others.
        let stolen: Double
    }

    func start(_ between: Between) async throws -> Server {
        switch between {
        case .proxy: try await .bare(.proxy, settings, in: folder)
        case .memory: try await .broker(settings, .memory, in: folder)
        case .durable: try await .broker(settings, .file(journal), in: folder)
        }
    }

    /// A broker's journal, of which nothing is left.
    private var journal: URL {
        let folder = folder.appending(path: "journal")
        try? FileManager.default.removeItem(at: folder)
        return folder.appending(path: "journal.sqlite")
    }

    /// - Parameters:
    ///   - service: nanoseconds that a worker takes; 0: it answers at once, and has room for all that is in flight.
    func measure(
        _ between: Between, _ load: Load, workers: Int = 1, service: Int64 = 0
    ) async throws -> Seen {
        let server = try await start(between)
        defer { server.stop() }
        let before = try server.processorTime, ownBefore = ProcessFigures.now().cpuSeconds
        let machineBefore = try MachineTime.now()
        let outcome = try await drive(server, between.middle, load, workers: workers, service: service)
        let used = try server.processorTime - before, own = ProcessFigures.now().cpuSeconds - ownBefore
        let stolen = try MachineTime.now().stolen(since: machineBefore)
        server.stop()
        let jobs = outcome.rate * (load.seconds + load.warmUp)
        let journal = between == .durable ? try Server.journalWork(in: folder) : nil
        return Seen(
            outcome: outcome, microseconds: used / jobs * 1e6, ends: own / jobs * 1e6,
            journal: journal, stored: journal.map { Double($0.bytes) / Double(load.bytes) / jobs }, stolen: stolen)
    }

    func drive(
        _ server: Server, _ middle: Middle, _ load: Load, workers: Int, service: Int64
    ) async throws -> Outcome {
        let clientSide = try keys.address(server.clients), workerSide = try keys.address(server.workers)
        let keys = keys, count = settings.clients, slots = service > 0 ? 2 : 4096
        let stop = try Inbox<Void>()
        let (readiness, ready) = AsyncStream<Void>.makeStream()
        let working = Task {
            try await onOwnThread("workers") {
                // Whoever waits for it hears of a failure too.
                defer { ready.finish() }
                try WorkerHalf(
                    middle, at: workerSide, keys: keys, workers: workers, service: service, slots: slots, stop: stop
                ).run { ready.yield() }
            }
        }
        for await _ in readiness { break }
        let outcome: Result<Outcome, any Error>
        do {
            outcome = .success(
                try await onOwnThread("clients") {
                    let clients = try ClientHalf(middle, at: clientSide, keys: keys, clients: count)
                    try clients.open()
                    return try clients.drive(load)
                })
        } catch { outcome = .failure(error) }
        stop.put(())
        try await working.value
        return try outcome.get()
    }
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted(), middle = sorted.count / 2
    guard !sorted.isEmpty else { return .nan }
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

extension Double {
    func rounded(to digits: Int) -> String { String(format: "%.\(digits)f", self) }
}

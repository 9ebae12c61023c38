package import Foundation

/// `collafuse bench broker`: the broker against what else could stand in the middle, in turns, so that a machine that slows down slows all.
///
///     let figures = try await BrokerBench(settings).run { print($0) }
package struct BrokerBench {
    package enum Row: String, CaseIterable, Sendable {
        case memory, durable
        case latency, durableLatency = "durable-latency"
        case idle, crowd, recovery, scaling, generator
        case rabbitmq, redis, nats
    }

    package struct Settings: Sendable {
        package var rows = Row.allCases.filter { $0.peer == nil }
        /// Of each measurement, and before it.
        package var seconds = 5.0
        package var warmUp = 1.0
        package var rounds = 5
        package var inFlight = 64
        /// They are all connected; what is in flight is shared by them.
        package var clients = 4
        package var idleClients = 2_000
        /// Idle clients beside those that work.
        package var crowd = 10_000
        package var recoveredJobs = 100_000
        package var stubWorkers = [1, 2, 4, 8, 16, 64]
        package var generatorClients = [1_000, 2_500]
        package var generatorSeconds = 20
        /// `collafuse`
        package var binary: URL
        /// Where journals lie; nil: where temporary files do.
        package var folder: URL?
        /// Installs and drives the other brokers.
        package var peers = URL(filePath: "ops/bench/peers/peer")

        package init(binary: URL) { self.binary = binary }

        /// As little as shows that everything works.
        package mutating func makeQuick() {
            seconds = 0.4
            warmUp = 0.1
            rounds = 1
            idleClients = 40
            crowd = 40
            recoveredJobs = 2_000
            stubWorkers = [1, 2]
            generatorClients = [20]
            generatorSeconds = 2
        }
    }

    let settings: Settings
    let say: @Sendable (String) -> Void

    /// - Parameter say: told what was measured, line by line.
    package init(_ settings: Settings, say: @escaping @Sendable (String) -> Void) {
        self.settings = settings
        self.say = say
    }

    package func run() async throws -> BrokerFigures {
        let base = settings.folder ?? FileManager.default.temporaryDirectory
        let folder = base.appending(path: "collafuse-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let rows = Set(settings.rows)
        let bench = Bench(
            settings: settings, folder: folder,
            keys: try BenchKeys(
                in: folder,
                clients: max(
                    settings.clients + (rows.contains(.crowd) ? settings.crowd : 0),
                    rows.contains(.idle) ? settings.idleClients : 0),
                workers: rows.contains(.scaling) ? settings.stubWorkers.max() ?? 1 : 1),
            say: say)
        var figures: [BrokerFigures.Figure] = []
        var left: [String] = []
        var throughput = Throughput()
        let sides = Side.allCases.filter { side in side.rows.contains(where: rows.contains) }
        if !sides.isEmpty {
            var able: [Side] = []
            for side in sides {
                if let why = try side.peer.flatMap({ try Peer($0, settings).obstacle }) {
                    left.append(why)
                } else {
                    able.append(side)
                }
            }
            throughput = try await bench.throughput(able)
            figures += throughput.figures(of: rows)
            left += throughput.failed.values.sorted()
        }
        if rows.contains(.latency) { figures.append(try await bench.latency(throughput, isDurable: false)) }
        if rows.contains(.durableLatency) { figures.append(try await bench.latency(throughput, isDurable: true)) }
        if rows.contains(.idle) { figures.append(try await bench.idle()) }
        if rows.contains(.crowd) { figures += try await bench.crowd() }
        if rows.contains(.recovery) { figures.append(try await bench.recovery()) }
        if rows.contains(.scaling) { figures += try await bench.scaling(throughput) }
        if rows.contains(.generator) {
            let generator = try await bench.generator()
            figures += generator.figures
            left += generator.left
        }
        return BrokerFigures(
            machine: .current, seconds: settings.seconds, rounds: settings.rounds, figures: figures, left: left)
    }
}

extension BrokerBench.Row {
    var peer: Peer.Kind? { Peer.Kind(rawValue: rawValue) }
}

package import Foundation

/// What a crowd of clients that sit in session and say nothing costs: the broker's memory, and the waiting time of those that work.
extension Bench {
    /// In each round a fresh broker has the same modest load from the same few clients twice: alone, and beside the crowd.
    func crowd() async throws -> [BrokerFigures.Figure] {
        let load = Load(pace: .rate(200), seconds: settings.seconds, warmUp: settings.warmUp)
        var alone: [Outcome] = [], beside: [Outcome] = [], memory: [Double] = []
        let rounds = min(3, settings.rounds)
        for round in 1...rounds {
            let server = try await start(.memory)
            defer { server.stop() }
            alone.append(try await drive(server, .broker, load, workers: 1, service: 0))
            let before = try Server.memory(of: server.process)
            let crowd = try await seat(at: server.clients)
            defer { for part in crowd { part.stop() } }
            memory.append(Double(try Server.memory(of: server.process) - before) / Double(settings.crowd))
            beside.append(try await drive(server, .broker, load, workers: 1, service: 0))
            say(
                "round \(round)/\(rounds)  \(settings.crowd) idle clients: \(memory[round - 1].rounded(to: 0)) B each; p99 of the others "
                    + "\(alone[round - 1].quantile(0.99).rounded(to: 2)) ms without them, "
                    + "\(beside[round - 1].quantile(0.99).rounded(to: 2)) ms with")
        }
        func waiting(_ name: String, _ share: Double) -> BrokerFigures.Figure {
            let ours = beside.map { $0.quantile(share) }, theirs = alone.map { $0.quantile(share) }
            return BrokerFigures.Figure(
                "\(name) beside idle clients", ours: median(ours), theirs: median(theirs), unit: "ms",
                ratio: median(zip(ours, theirs).map { $0 / $1 }), seen: median(zip(ours, theirs).map { $0 - $1 }),
                must: nil, aim: nil, isCost: true,
                note: "added; beside \(settings.crowd) idle clients, and beside none; 200 jobs/s of 48 KiB")
        }
        return [
            BrokerFigures.Figure(
                "crowd memory", ours: median(memory), unit: "B/client", seen: median(memory), must: nil, aim: nil,
                isCost: true, note: "\(settings.crowd) idle clients, with libzmq's part of each connection"),
            waiting("p50", 0.5), waiting("p99", 0.99),
        ]
    }

    /// In processes of their own, of which none may open more than 20,000 files on many a system: a client needs two.
    private func seat(at endpoint: String) async throws -> [Server] {
        var parts: [Server] = []
        for first in stride(from: 0, to: settings.crowd, by: 5_000) {
            parts.append(
                try await Server(
                    "crowd-\(first)", binary: settings.binary,
                    command: [
                        "bench", "crowd", "--keys", folder.path, "--endpoint", endpoint, "--first",
                        "\(settings.clients + first)", "--count", "\(min(5_000, settings.crowd - first))",
                    ], in: folder))
        }
        return parts
    }
}

/// A part of the crowd, as a process of its own: `collafuse bench crowd`.
package enum Crowd {
    /// Sits for ever.
    ///
    /// - Parameters:
    ///   - folder: the bench's, with its keys.
    ///   - first: of the keys' clients; those before sit elsewhere.
    ///   - announce: called once all are in session.
    package static func sit(
        keys folder: URL, at endpoint: String, first: Int, count: Int, announce: @escaping @Sendable () -> Void
    ) async throws {
        try await onOwnThread("crowd") {
            let keys = try BenchKeys(opening: folder, first: first)
            let clients = try ClientHalf(.broker, at: keys.address(endpoint), keys: keys, clients: count)
            try clients.open()
            announce()
            while true { try clients.idle(seconds: 60) }
        }
    }
}

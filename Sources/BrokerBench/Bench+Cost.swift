internal import Exchange
internal import Fabric
internal import Foundation
internal import Journal
internal import Wire

/// What sitting there costs, and what coming back does.
extension Bench {
    /// What a client in session costs that says nothing, above a connection to a bare ROUTER.
    func idle() async throws -> BrokerFigures.Figure {
        var ours: [Double] = [], theirs: [Double] = []
        for _ in 1...min(3, settings.rounds) {
            ours.append(try await idleMemory(of: try await start(.memory), .broker))
            theirs.append(try await idleMemory(of: try await .bare(.router, settings, in: folder), .proxy))
            say(
                "idle client: broker \(ours[ours.count - 1].rounded(to: 0)) B, bare ROUTER \(theirs[theirs.count - 1].rounded(to: 0)) B"
            )
        }
        let above = median(zip(ours, theirs).map { $0 - $1 })
        return BrokerFigures.Figure(
            "idle client memory", ours: median(ours), theirs: median(theirs), unit: "B/client",
            ratio: median(zip(ours, theirs).map { $0 / $1 }), seen: above, must: 16_384, aim: 4_096, isCost: true,
            note: "above a bare ROUTER with CURVE, \(settings.idleClients) clients")
    }

    private func idleMemory(of server: Server, _ middle: Middle) async throws -> Double {
        defer { server.stop() }
        let address = try keys.address(server.clients), keys = keys, count = settings.idleClients
        let process = server.process
        // One comes first: what the first of them needs is not what each costs.
        let first = try await onOwnThread("client") { try ClientHalf.sitting(middle, address, keys, 1, process) }
        let all = try await onOwnThread("clients") { try ClientHalf.sitting(middle, address, keys, count, process) }
        return Double(all - first) / Double(count)
    }

    /// A broker's start with so many jobs in its queue, beside one with none.
    func recovery() async throws -> BrokerFigures.Figure {
        let file = folder.appending(path: "recovery/journal.sqlite"),
            empty = folder.appending(path: "empty/journal.sqlite")
        let bytes = 1_024
        try await fill(file, jobs: settings.recoveredJobs, bytes: bytes)
        var ours: [Double] = [], theirs: [Double] = []
        for _ in 1...min(3, settings.rounds) {
            let full = try await Server.broker(settings, .file(file), in: folder)
            ours.append(full.secondsToStart)
            full.stop()
            let other = try await Server.broker(settings, .file(empty), in: folder)
            theirs.append(other.secondsToStart)
            other.stop()
            say(
                "recovery of \(settings.recoveredJobs) jobs: \(ours[ours.count - 1].rounded(to: 2)) s, with none \(theirs[theirs.count - 1].rounded(to: 2)) s"
            )
        }
        return BrokerFigures.Figure(
            "recovery of 100,000 jobs", ours: median(ours), theirs: median(theirs), unit: "s",
            ratio: median(zip(ours, theirs).map { $0 / $1 }), seen: median(ours), must: 5, aim: 1, isCost: true,
            note:
                "\(settings.recoveredJobs) jobs of \(bytes) B, from the process's start to listening; beside it with none"
        )
    }

    /// Jobs of the bench's clients, as a broker would have stored them.
    private func fill(_ file: URL, jobs: Int, bytes: Int) async throws {
        let keys = keys, clients = settings.clients
        try await onOwnThread("filling") {
            let store = try SQLiteStore(file)
            _ = try store.recover()
            let senders = try (0..<clients).map { try keys.client($0) }
            let sealed = [UInt8](repeating: 0x5A, count: bytes)
            var random = SystemRandomNumberGenerator()
            for start in stride(from: 0, to: jobs, by: 1_000) {
                try store.commit(
                    (start..<min(jobs, start + 1_000)).map { number in
                        let envelope = keys.envelope(senders[number % clients], JobID.random(using: &random))
                        return .accepted(envelope.key, envelope: envelope.bytes, sealed: sealed)
                    })
            }
        }
    }
}

extension ClientHalf {
    /// - Returns: the server's memory while so many clients sit in session.
    fileprivate static func sitting(
        _ middle: Middle, _ address: BrokerAddress, _ keys: BenchKeys, _ count: Int, _ process: pid_t
    ) throws -> Int {
        let clients = try ClientHalf(middle, at: address, keys: keys, clients: count)
        try clients.open()
        try clients.idle(seconds: 1)
        return try Server.memory(of: process)
    }
}

import Testing

@testable import Exchange

/// Hundreds of short histories with faults drawn by seed. Safety is checked all along: see `Invariants`, `JournalChecker` and
/// the simulated processes. Liveness: once the faults stop, every job comes to its end.
@Suite struct FaultTests {
    static let kinds: [(name: String, faults: World.Faults)] = [
        ("quiet", World.Faults(cut: 0, loss: 0)),
        ("bad network", World.Faults(cut: 0.02, loss: 0.01)),
        ("broker crashes", World.Faults(cut: 0.002, loss: 0, brokerCrash: 0.002)),
        ("worker crashes", World.Faults(cut: 0, loss: 0, workerCrash: 0.01, hang: 0.003)),
        (
            "short lives",
            World.Faults(
                lifetime: 8_000, cut: 0.01, loss: 0.003, brokerCrash: 0.002, workerCrash: 0.005, clientCrash: 0.005)
        ),
        (
            "little room",
            World.Faults(
                cut: 0.005, loss: 0.001, brokerCrash: 0.002, workerCrash: 0.003, clientCrash: 0.005, room: 2_000)
        ),
        (
            "everything",
            World.Faults(
                cut: 0.01, loss: 0.003, brokerCrash: 0.002, workerCrash: 0.005, clientCrash: 0.005, hang: 0.002)
        ),
    ]

    @Test(arguments: Array(kinds.indices)) func everyJobComesToItsEnd(kind: Int) {
        for seed in 0..<UInt64(60) {
            var world = World(
                seed: seed &* 31 &+ UInt64(kind), clients: 3, jobs: 5, workers: 2, slots: 3,
                faults: Self.kinds[kind].faults)
            world.run(until: 15 * .second)
            world.faults = World.Faults(cut: 0, loss: 0)
            world.run(until: 600 * .second, orUntil: { $0.isSettled })
            let (failures, isSettled) = (world.failures, world.isSettled)
            #expect(failures.isEmpty, "\(Self.kinds[kind].name), seed \(seed)")
            #expect(isSettled, "\(Self.kinds[kind].name), seed \(seed): not settled at \(world.now / .second) s")
            if !failures.isEmpty || !isSettled { return }
        }
    }

    /// The driver does what it says: the faults that it is there for come about.
    @Test func theFaultsHappen() {
        var counters: [BrokerCounters] = []
        var kills = 0
        for seed in 0..<UInt64(30) {
            var world = World(
                seed: 1_000 + seed, clients: 3, jobs: 5, workers: 2, slots: 3, faults: Self.kinds[6].faults)
            world.run(until: 15 * .second)
            kills += world.counters.count
            counters += world.counters + (world.broker.map { [$0.counters] } ?? [])
        }
        #expect(kills > 5)
        for fault in [\BrokerCounters.gaps, \.readopted, \.leasesLost, \.handedBack] {
            #expect(counters.reduce(0) { $0 + $1[keyPath: fault] } > 0)
        }
    }

    @Test func aSeedReplays() {
        func history() -> [String] {
            var world = World(seed: 77, clients: 3, jobs: 5, workers: 2, slots: 3, faults: Self.kinds[6].faults)
            world.run(until: 20 * .second)
            return world.journal.entries.map { entry in
                switch entry {
                case .accepted(let key, _, _): "accepted \(key)"
                case .attempted(let key, let attempt, _): "attempted \(key) \(attempt)"
                case .suspected(let key, let crashes): "suspected \(key) \(crashes)"
                case .finished(let key, _, _, _): "finished \(key)"
                case .acknowledged(let key): "acknowledged \(key)"
                case .ended(let key, _): "ended \(key)"
                case .forgotten(let key): "forgotten \(key)"
                }
            }
        }
        let first = history()
        #expect(first.count > 20)
        #expect(first == history())
    }
}

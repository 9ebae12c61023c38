import Testing

@testable import Exchange

/// The queue against the laws that its header states, by histories drawn by seed.
@Suite struct FairQueueTests {
    private static let ageing: Int64 = 1_000

    /// Clients that always have jobs waiting, and workers that have S at a time.
    private struct Shop {
        struct Running {
            let handle: JobHandle
            let client: Int
            let charged: UInt64
        }

        var random: SplitMix64
        var queue = FairQueue(ageing: FairQueueTests.ageing)
        var costs: [JobHandle: (ceiling: UInt64, actual: UInt64)] = [:]
        var owners: [JobHandle: Int] = [:]
        var running: [Running] = []
        var now: Int64 = 0
        private var handles: Int32 = 0

        init(seed: Int) { random = SplitMix64(seed: UInt64(seed)) }

        mutating func push(
            _ client: Int, lane: Int = 0, weight: UInt32 = 1, priority: Int32 = 0, ceiling: UInt64, actual: UInt64
        ) {
            handles += 1
            let handle = JobHandle(index: handles, serial: 0)
            costs[handle] = (ceiling, actual)
            owners[handle] = client
            queue.push(handle, lane: lane, client: client, priority: priority, weight: weight, at: now)
        }

        /// - Returns: whose job was leased, and what it will have cost.
        mutating func lease(from lanes: [Int] = [0]) -> (client: Int, cost: UInt64)? {
            let expected = queue.nextClient(of: lanes, at: now)
            guard let handle = queue.pop(from: lanes, at: now, where: { _ in true }), let client = owners[handle],
                let cost = costs[handle]
            else { return nil }
            #expect(client == expected)
            let charged = queue.charge(client, ceiling: cost.ceiling, most: cost.ceiling, at: now)
            #expect(charged >= 1 && charged <= cost.ceiling)
            running.append(Running(handle: handle, client: client, charged: charged))
            return (client, cost.actual)
        }

        /// One of those that run is done, or is handed back.
        mutating func end(handedBack: Bool = false) -> Running {
            let job = running.remove(at: random.below(running.count))
            let cost = costs[job.handle] ?? (1, 1)
            queue.correct(
                job.client, charged: job.charged, actual: handedBack ? 0 : cost.actual,
                ceiling: handedBack ? nil : cost.ceiling, at: now)
            return job
        }
    }

    @Test("over any stretch two clients' shares differ by (2·S + 2)·C / w at most", arguments: 0..<24)
    func shares(seed: Int) {
        var shop = Shop(seed: seed)
        let clients = 5, slots = [1, 2, 4, 16][seed % 4], most: UInt64 = 100
        let weights = (0..<clients).map { _ in UInt32(1 + shop.random.below(4)) }
        // Some state what it costs, some always far too much, some anything.
        let honesty = (0..<clients).map { _ in shop.random.below(3) }
        func push(_ client: Int) {
            let actual = UInt64(1 + shop.random.below(client == 0 ? 100 : 40))
            let ceiling: UInt64 =
                switch honesty[client] {
                case 0: actual
                case 1: most
                default: actual + UInt64(shop.random.below(Int(most - actual) + 1))
                }
            shop.push(
                client, lane: shop.random.below(2), weight: weights[client], ceiling: ceiling, actual: actual)
        }
        for client in 0..<clients { for _ in 0..<20 { push(client) } }
        var served = [Double](repeating: 0, count: clients)
        var least = [[Double]](repeating: [Double](repeating: 0, count: clients), count: clients)
        for _ in 0..<1_500 {
            shop.now += Int64(shop.random.below(50))
            while shop.running.count < slots, let (client, cost) = shop.lease(from: [0, 1]) {
                served[client] += Double(cost) / Double(weights[client])
                push(client)
                for one in 0..<clients {
                    for other in 0..<clients where one != other {
                        // Against the least that the difference ever was: so the bound holds for the stretch since then.
                        let difference = served[one] - served[other]
                        least[one][other] = min(least[one][other], difference)
                        let weight = Double(min(weights[one], weights[other]))
                        let bound = Double(2 * slots + 2) * Double(most) / weight
                        #expect(difference - least[one][other] <= bound)
                    }
                }
            }
            _ = shop.end()
        }
        #expect(served.allSatisfy { $0 > 1_000 }, "nobody starves: \(served)")
    }

    @Test("whoever comes with one job has it leased after one of each other client at most", arguments: 0..<24)
    func newcomers(seed: Int) {
        var shop = Shop(seed: 100 + seed)
        let others = 1 + shop.random.below(6)
        for client in 0..<others {
            for _ in 0..<300 { shop.push(client, ceiling: 10, actual: 10) }
        }
        var newcomers = 0
        for turn in 0..<200 {
            guard turn > 20, turn % 10 == 0 else {
                _ = shop.lease()
                _ = shop.end()
                continue
            }
            newcomers += 1
            let client = 1_000 + newcomers % 3
            shop.push(client, ceiling: 10, actual: 10)
            var turns = 0
            while let (next, _) = shop.lease(), next != client {
                turns += 1
                _ = shop.end()
            }
            _ = shop.end()
            #expect(turns <= others)
        }
    }

    @Test("a band below the top has its turn once it has waited its place times the ageing", arguments: 0..<12)
    func ageing(seed: Int) {
        var shop = Shop(seed: 200 + seed)
        let bands = 2 + seed % 3
        for band in 0..<bands {
            for _ in 0..<40 { shop.push(band, priority: Int32(10 * (bands - band)), ceiling: 5, actual: 5) }
        }
        var last = [Int64](repeating: 0, count: bands)
        var counts = [Int](repeating: 0, count: bands)
        for _ in 0..<1_500 {
            shop.now += Int64(1 + shop.random.below(100))
            guard let (band, _) = shop.lease() else { break }
            counts[band] += 1
            last[band] = shop.now
            shop.push(band, priority: Int32(10 * (bands - band)), ceiling: 5, actual: 5)
            _ = shop.end()
            for band in 1..<bands {
                // Then those that have risen as far go one after another.
                #expect(shop.now - last[band] <= Int64(band) * Self.ageing + Int64(bands) * 100)
            }
        }
        // And no sooner: it is a turn, not a share.
        for band in 1..<bands { #expect(counts[band] <= counts[0] / 5) }
    }

    @Test("nothing is lost or served twice, whoever is held, removed or given other rights", arguments: 0..<24)
    func conservation(seed: Int) {
        var shop = Shop(seed: 300 + seed)
        var waiting: Set<JobHandle> = []
        var held: Set<Int> = []
        for client in 0..<5 { shop.push(client, ceiling: 50, actual: 50) }
        waiting.formUnion(shop.owners.keys)
        for _ in 0..<2_000 {
            shop.now += Int64(shop.random.below(300))
            let client = shop.random.below(5), lane = shop.random.below(3)
            switch shop.random.below(8) {
            case 0, 1, 2:
                let before = Set(shop.owners.keys)
                shop.push(
                    client, lane: lane, weight: UInt32(shop.random.below(3)), priority: Int32(shop.random.below(3)),
                    ceiling: 50, actual: 1 + UInt64(shop.random.below(50)))
                waiting.formUnion(Set(shop.owners.keys).subtracting(before))
            case 3:
                held.insert(client)
                shop.queue.hold(client, at: shop.now)
            case 4:
                held.remove(client)
                shop.queue.resume(client, at: shop.now)
            case 5:
                shop.queue.renewShare(
                    of: client, priority: Int32(shop.random.below(3)), weight: 1 + UInt32(shop.random.below(3)),
                    at: shop.now)
            case 6 where !shop.running.isEmpty:
                _ = shop.end(handedBack: shop.random.chance(0.3))
            default:
                let lanes = [[0], [1, 2], [0, 1, 2]][shop.random.below(3)]
                guard let (owner, _) = shop.lease(from: lanes), let handle = shop.running.last?.handle else { continue }
                #expect(!held.contains(owner) && waiting.remove(handle) != nil)
            }
        }
        #expect((0..<3).reduce(0) { $0 + shop.queue.count(in: $1) } == waiting.count)
        for client in 0..<5 { shop.queue.resume(client, at: shop.now) }
        while shop.lease(from: [0, 1, 2]) != nil, let handle = shop.running.last?.handle { waiting.remove(handle) }
        #expect(waiting.isEmpty && (0..<3).allSatisfy { shop.queue.count(in: $0) == 0 })
    }

    @Test func whoWasHeldHasSavedUpNothing() {
        var shop = Shop(seed: 1)
        for _ in 0..<40 { for client in 0..<2 { shop.push(client, ceiling: 50, actual: 50) } }
        shop.queue.hold(0, at: shop.now)
        for _ in 0..<20 {
            #expect(shop.lease()?.client == 1)
            _ = shop.end()
        }
        shop.queue.resume(0, at: shop.now)
        var served = [0, 0]
        for _ in 0..<10 {
            if let client = shop.lease()?.client { served[client] += 1 }
            _ = shop.end()
        }
        #expect(served == [5, 5])
    }
}

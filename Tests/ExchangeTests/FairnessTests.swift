import Testing
import Wire

@testable import Exchange

@Suite struct FairnessTests {
    /// Runs `rounds` leases on one slot and counts whose they were.
    private func serve(
        _ rounds: Int, _ bench: inout BrokerBench, worker: inout BrokerBench.Peer,
        first: WireJob, cost: (ClientID) -> UInt64
    ) -> [ClientID: Int] {
        var served: [ClientID: Int] = [:]
        var job = first
        for _ in 0..<rounds {
            let client = ClientID(job.job.clientID)!
            served[client, default: 0] += 1
            bench.finish(job.job, cost: cost(client), as: &worker)
            guard let next = bench.leased.first else { break }
            job = next
        }
        return served
    }

    @Test func aFloodDoesNotStarveAnotherClient() {
        var bench = BrokerBench()
        var (flood, modest) = (bench.client(1), bench.client(2))
        for number in 0..<500 { bench.submit(number, as: &flood) }
        var worker = bench.worker(1, slots: 1)
        let first = bench.leased[0]
        for number in 0..<10 { bench.submit(number, as: &modest) }
        let served = serve(20, &bench, worker: &worker, first: first) { _ in 1_000_000 }
        #expect((served[identifier(2)] ?? 0) >= 9)
    }

    @Test func timeIsSharedByWeightAndNotByJobs() {
        var bench = BrokerBench()
        var (cheap, dear) = (bench.client(1, ClientRights(weight: 1)), bench.client(2, ClientRights(weight: 2)))
        for number in 0..<400 {
            bench.submit(number, cost: 1_000, as: &cheap)
            bench.submit(number, cost: 4_000, as: &dear)
        }
        var worker = bench.worker(1, slots: 1)
        let served = serve(180, &bench, worker: &worker, first: bench.leased[0]) { $0 == identifier(1) ? 1_000 : 4_000 }
        // Twice the weight at four times the cost: half as many jobs.
        #expect(abs((served[identifier(1)] ?? 0) - 120) <= 4)
        #expect(abs((served[identifier(2)] ?? 0) - 60) <= 4)
    }

    @Test func measuredCostReplacesTheCeiling() {
        var bench = BrokerBench()
        var (honest, boastful) = (bench.client(1), bench.client(2))
        for number in 0..<300 {
            bench.submit(number, cost: 1_000, as: &honest)
            bench.submit(number, cost: 1_000, as: &boastful)
        }
        var worker = bench.worker(1, slots: 1)
        let served = serve(150, &bench, worker: &worker, first: bench.leased[0]) { $0 == identifier(1) ? 1_000 : 2_000 }
        #expect(abs((served[identifier(1)] ?? 0) - 100) <= 4)
    }

    @Test func aHigherPriorityGoesFirst() {
        var bench = BrokerBench()
        var (low, high) = (bench.client(1), bench.client(2, ClientRights(priority: 5)))
        for number in 0..<5 { bench.submit(number, as: &low) }
        for number in 0..<5 { bench.submit(number, as: &high) }
        var worker = bench.worker(1, slots: 1)
        let served = serve(5, &bench, worker: &worker, first: bench.leased[0]) { _ in 1 }
        #expect(served == [identifier(2): 5])
    }

    /// Against the law itself: no client with work waiting falls behind another by more than one job of each.
    @Test(arguments: 0..<20) func theQueueKeepsShares(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var queue = FairQueue()
        let clients = 6
        let weights = (0..<clients).map { _ in UInt32(1 + random.below(4)) }
        var costs: [JobHandle: UInt64] = [:]
        var owners: [JobHandle: Int] = [:]
        var served = [Double](repeating: 0, count: clients)
        var largest = [Double](repeating: 0, count: clients)
        for number in 0..<(clients * 200) {
            let handle = JobHandle(index: Int32(number), serial: 0)
            let client = number % clients
            costs[handle] = UInt64(1 + random.below(50))
            owners[handle] = client
            largest[client] = max(largest[client], Double(costs[handle]!) / Double(weights[client]))
            queue.push(handle, client: client, priority: 0, weight: weights[client])
        }
        for _ in 0..<400 {
            guard let handle = queue.pop(where: { _ in true }, cost: { costs[$0]! }) else { return }
            let client = owners[handle]!
            served[client] += Double(costs[handle]!) / Double(weights[client])
            for one in 0..<clients {
                for other in 0..<clients { #expect(served[one] - served[other] <= largest[one] + largest[other]) }
            }
        }
    }
}

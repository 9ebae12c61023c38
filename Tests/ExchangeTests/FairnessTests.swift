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

    @Test("what was said to cost much and cost little is charged as little from then on")
    func ceilingsAreLearned() {
        var bench = BrokerBench()
        var (boastful, honest) = (bench.client(1), bench.client(2))
        for number in 0..<100 {
            bench.submit(number, cost: 1_000_000, as: &boastful)
            bench.submit(number, cost: 1_000, as: &honest)
        }
        var worker = bench.worker(1, slots: 8)
        var running = bench.leased, served: [ClientID: Int] = [:]
        for _ in 0..<120 {
            let job = running.removeFirst()
            served[ClientID(job.job.clientID)!, default: 0] += 1
            bench.finish(job.job, cost: 1_000, as: &worker)
            running += bench.leased
        }
        // Eight slots, and all jobs cost the same: half of the time each, but for what was charged before the first was measured.
        #expect(abs((served[identifier(1)] ?? 0) - 60) <= 8)
    }

    @Test("a job that runs alone is charged like any other")
    func suspectsPay() {
        var bench = BrokerBench()
        var (one, two) = (bench.client(1), bench.client(2))
        for number in 0..<40 {
            bench.submit(number, cost: 1_000, as: &one)
            bench.submit(number, cost: 1_000, as: &two)
        }
        var worker = bench.worker(1, slots: 1)
        var first = bench.leased[0]
        // A crash a time makes each job of the first client a suspect before it is done.
        var served: [ClientID: Int] = [:]
        for _ in 0..<40 {
            if ClientID(first.job.clientID) == identifier(1), !first.alone {
                bench.nack(first.job, .outOfMemory, as: &worker)
                bench.wait(2 * .second)
                bench.say(.ping(WirePing()), as: &one)
            } else {
                served[ClientID(first.job.clientID)!, default: 0] += 1
                bench.finish(first.job, cost: 1_000, as: &worker)
            }
            guard let next = bench.leased.first else { break }
            first = next
        }
        #expect(abs((served[identifier(1)] ?? 0) - (served[identifier(2)] ?? 0)) <= 2)
    }

    @Test("jobs for another key of the role bring no second share")
    func lanesShare() {
        var bench = BrokerBench()
        let second: PoolKeyID = identifier(102)
        bench.core.configuration.poolKeys[second] = .init(role: .denoise, openUntil: .max)
        var (double, single) = (bench.client(1), bench.client(2))
        for number in 0..<100 {
            for key in [Fixture.denoiseKey, second] {
                let envelope = Fixture.envelope(
                    client: identifier(1), job: identifier(key == second ? 1000 + number : number), cost: 1_000,
                    poolKey: key)
                bench.submit(envelope, as: &double)
            }
            bench.submit(number, cost: 1_000, as: &single)
        }
        var worker = bench.open(.worker(identifier(1), roles: [.denoise]))
        bench.ready(&worker, slots: 1, roles: [.denoise], keys: [Fixture.denoiseKey, second])
        let served = serve(100, &bench, worker: &worker, first: bench.leased[0]) { _ in 1_000 }
        #expect(abs((served[identifier(1)] ?? 0) - 50) <= 2)
    }
}

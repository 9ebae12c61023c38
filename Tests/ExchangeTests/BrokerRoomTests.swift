import Foundation
import Testing
import Wire

@testable import Exchange

/// How much is kept, whatever clients do. That the caps hold at every moment is among the `Invariants`, which the bench checks
/// after every message.
@Suite struct BrokerRoomTests {
    private func bench(_ change: (inout Limits) -> Void) -> BrokerBench {
        var configuration = Fixture.configuration
        change(&configuration.limits)
        return BrokerBench(configuration)
    }

    @Test("a client that takes no results away has no more jobs done than there is room for their results")
    func resultsAreBounded() {
        var bench = bench { $0.resultBytesPerClient = 10_000 }
        var (sloth, hare) = (bench.client(1), bench.client(2))
        var worker = bench.worker(1, slots: 2)
        // From the first it is known what the others bring.
        bench.submit(0, as: &sloth)
        bench.finish(bench.leased[0].job, bytes: 2_000, as: &worker)
        bench.acknowledge(identifier(0), as: &sloth)
        var running: [WireJob] = []
        for number in 1...40 {
            bench.submit(number, as: &sloth)
            running += bench.leased
        }
        while let job = running.popLast() {
            bench.finish(job.job, bytes: 2_000, as: &worker)
            running += bench.leased
        }
        let held = bench.core.clients[0].usage.results
        #expect(held > 6_000 && held <= 10_000)
        // Others are served all the same, and the first goes on as it takes results away.
        bench.submit(1, as: &hare)
        #expect(bench.leased.count == 1)
        bench.finish(bench.leased[0].job, bytes: 2_000, as: &worker)
        var taken = 0
        for number in 1...40 {
            guard bench.core.standing(of: JobKey(client: identifier(1), job: identifier(number)))?.state == .inMailbox
            else { continue }
            let isWaiting = !bench.core.jobReports(in: .queued).isEmpty
            bench.acknowledge(identifier(number), as: &sloth)
            taken += 1
            running = bench.leased
            #expect(running.count == (isWaiting ? 1 : 0))
            while let job = running.popLast() {
                bench.finish(job.job, bytes: 2_000, as: &worker)
                running += bench.leased
            }
        }
        #expect(taken == 40)
    }

    @Test("keys that a worker makes up find an end, and those of the deployment are served all the same")
    func lanesAreBounded() {
        var bench = bench { _ in }
        var worker = bench.worker(1)
        for first in stride(from: 0, to: 2_000, by: 16) {
            bench.ready(&worker, keys: (first..<first + 16).map { identifier(10_000 + $0) })
        }
        #expect(bench.core.lanes.count == BrokerCore.mostLanes)
        // A worker may know of new keys before its broker does.
        bench.ready(&worker, keys: [Fixture.denoiseKey, identifier(9_999)])
        #expect(bench.core.lanes.count == BrokerCore.mostLanes)
        var poolKeys = bench.core.configuration.poolKeys
        poolKeys[identifier(9_999)] = .init(role: .denoise, openUntil: .max)
        bench.take(bench.core.renew(keyBundle: [1], poolKeys: poolKeys, at: bench.moment))
        #expect(bench.core.lanes.count == BrokerCore.mostLanes + 1 && bench.core.lanes.last?.workers == [0])
        var client = bench.client(1)
        bench.submit(0, as: &client)
        #expect(bench.leased.count == 1)
    }

    @Test func theBusiestClientsAreNamed() {
        var bench = bench { _ in }
        for number in 1...30 {
            var client = bench.client(number)
            for job in 0..<number % 7 { bench.submit(job, as: &client) }
        }
        let tenants = bench.core.tenants(first: 6)
        #expect(tenants.all == 30)
        // 6, 13, 20 and 27 have six jobs each.
        #expect(tenants.first.map(\.jobs) == [6, 6, 6, 6, 5, 5])
        #expect(bench.core.tenants(first: 100).first.count == 30)
    }

    @Test("clients that take nothing away leave room for those that come later")
    func roomForOthers() {
        var bench = bench {
            $0.resultBytesPerClient = 1 << 20
            $0.resultBytes = 100_000
        }
        var worker: BrokerBench.Peer?
        for number in 1...5 {
            var client = bench.client(number)
            for job in 0..<60 { bench.submit(job, as: &client) }
            if worker == nil { worker = bench.worker(1, slots: 1) }
            while var hand = worker, let job = bench.core.jobReports(in: .leased).first {
                guard let lease = bench.lease(of: job.key) else { break }
                bench.finish(lease, bytes: 1_000, as: &hand)
                worker = hand
            }
            // The n-th takes half of what the others left, and what its last result weighs.
            let mine = bench.core.clients[number - 1].usage.results
            #expect(mine > 100_000 >> (number + 1) && mine <= (100_000 >> number) + 2_000)
        }
        #expect(bench.core.usage.results < 100_000)
    }

    @Test(
        "a result larger than was to be expected is made again when there is room; one that never has any ends its job")
    func unexpectedResults() {
        var bench = bench { $0.resultBytesPerClient = 5_000 }
        var client = bench.client(1)
        for number in 1...3 { bench.submit(number, as: &client) }
        var worker = bench.worker(1, slots: 3)
        let running = bench.leased
        bench.finish(running[0].job, bytes: 3_000, as: &worker)
        bench.finish(running[1].job, bytes: 3_000, as: &worker)
        #expect(bench.stored.first?.stale == true && bench.core.snapshot.counters.resultsRefused == 1)
        bench.wait(3 * .second)
        #expect(bench.leased.isEmpty)
        bench.acknowledge(identifier(1), as: &client)
        #expect(bench.leased.count == 1)
        bench.finish(bench.leased[0].job, bytes: 3_000, as: &worker)
        #expect(bench.results == [identifier(2)])
        bench.finish(running[2].job, bytes: 5_001, as: &worker)
        #expect(bench.ended == [.tooLarge])
    }

    @Test("clients that fill the memory of jobs that are over leave room in it for others, until their jobs expire")
    func tombstones() {
        var bench = bench { $0.remembered = 100 }
        // Each takes half of what the others left, and is told so.
        for (number, share) in [(1, 50), (2, 25), (3, 13), (4, 6)] {
            var greedy = bench.client(number)
            var accepted = 0
            for job in 0..<60 {
                bench.submit(job, lifetime: 60_000, as: &greedy)
                if bench.has(isAccepted) {
                    accepted += 1
                } else {
                    #expect(
                        bench.rejection?.code == .tooManyJobs && bench.rejection?.message.contains("expire") == true)
                    #expect((bench.rejection?.retryAfterMs ?? 0) >= 10_000)
                }
                bench.cancel(identifier(job), as: &greedy)
            }
            #expect(accepted == share)
        }
        var modest = bench.client(9)
        bench.submit(1, as: &modest)
        #expect(bench.has(isAccepted))
        // What it has is no new thing to remember.
        var greedy = bench.client(1)
        let again = Fixture.envelope(client: identifier(1), job: identifier(0), expires: bench.moment.wall + 60_000)
        bench.submit(again, as: &greedy)
        #expect(bench.ended == [.cancelled])
        bench.wait(12 * 60 * .second)
        greedy = bench.client(1)
        bench.submit(100, as: &greedy)
        #expect(bench.has(isAccepted) && bench.core.usage.tombstones == 0)
        // Nothing rings for what is over and forgotten.
        bench.cancel(identifier(100), as: &greedy)
        modest = bench.client(9)
        bench.cancel(identifier(1), as: &modest)
        #expect(bench.core.wallTimers.count == 2)
        bench.wait(2 * 3_600 * .second)
        #expect(bench.core.wallTimers.count == 0 && bench.core.usage.tombstones == 0)
    }

    @Test("a job that is under way has its place among those that are remembered")
    func placesOfTombstones() {
        var bench = bench { $0.remembered = 10 }
        var client = bench.client(1)
        for number in 0..<10 { bench.submit(number, as: &client) }
        #expect(bench.core.usage.jobs == 5 && bench.rejection?.code == .tooManyJobs)
        for number in 0..<5 { bench.cancel(identifier(number), as: &client) }
        bench.submit(20, as: &client)
        #expect(bench.core.usage.tombstones == 5 && bench.rejection?.code == .tooManyJobs)
    }

    @Test("what one message asks for is bounded, whatever it names")
    func lists() {
        var bench = bench { $0.jobsPerClient = 200 }
        var client = bench.client(1)
        var fetch = WireFetch()
        fetch.jobID = [Data](repeating: Data(identifier(1, as: JobID.self).bytes), count: 50_000)
        bench.say(.fetch(fetch), as: &client)
        #expect(bench.ended == [WireCode](repeating: .unknownJob, count: BrokerCore.jobsPerFetch))
        var query = WireStatusQuery()
        query.jobID = fetch.jobID
        bench.say(.statusQuery(query), as: &client)
        #expect(bench.statusLines == BrokerCore.jobsPerStatus)
        for number in 0..<100 { bench.submit(number, as: &client) }
        bench.say(.statusQuery(WireStatusQuery()), as: &client)
        #expect(bench.statusLines == 100)

        let held = bench.core.ref(
            JobKey(client: identifier(1), job: identifier(999)),
            Fence(broker: Fixture.broker, bootEpoch: 1, attempt: 1))
        _ = bench.worker(1, held: [held])
        #expect(bench.cancelled.count == 1)
        _ = bench.worker(2, held: [WireJobRef](repeating: held, count: 50_000))
        #expect(bench.cancelled.isEmpty && bench.byes.count == 1)
    }

    @Test("whatever comes, the caps hold; once all is quiet, every job comes to its end", arguments: 0..<16)
    func whateverClientsDo(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var bench = bench {
            $0.bytesPerClient = 6_000
            $0.bytes = 15_000
            $0.resultBytesPerClient = 5_000
            $0.resultBytes = 9_000
            $0.bytesPerResult = 4_000
            $0.checkpointBytes = 3_000
            $0.remembered = 150
            $0.resultLife = 200_000
        }
        func open(_ place: Int) -> BrokerBench.Peer {
            bench.client(place + 1, ClientRights(bytes: place == 3 ? 2_500 : 0))
        }
        var clients = (0..<4).map(open)
        var worker = bench.worker(1, slots: 6)
        var most = Usage()
        func act(_ step: Int) {
            let place = random.below(4), job: JobID = identifier(random.below(60))
            switch random.below(12) {
            case 0...4:
                let envelope = Fixture.envelope(
                    client: identifier(place + 1), job: job, generation: UInt32(random.below(2)),
                    created: bench.moment.wall, expires: bench.moment.wall + Int64(60_000 + random.below(600_000)))
                bench.submit(envelope, [UInt8](repeating: 1, count: random.below(2_500)), as: &clients[place])
            case 5: bench.cancel(job, as: &clients[place])
            case 6: clients[place] = open(place)
            case 7: bench.say(.bye(WireBye()), as: &clients[place])
            default:
                guard let report = bench.core.jobReports(in: .leased).randomElement(using: &random),
                    let lease = bench.lease(of: report.key)
                else { return }
                switch random.below(8) {
                case 0: bench.nack(lease, [.busy, .outOfMemory][random.below(2)], as: &worker)
                case 1, 2:
                    bench.checkpoint(
                        lease, step: 1, version: 1, [UInt8](repeating: 1, count: random.below(4_000)), as: &worker)
                default: bench.finish(lease, bytes: random.below(4_400), as: &worker)
                }
            }
        }
        for step in 0..<900 {
            act(step)
            most.results = max(most.results, bench.core.usage.results)
            most.bytes = max(most.bytes, bench.core.usage.bytes)
            if step % 20 == 0 {
                bench.wait(1 * .second)
                bench.beat(UInt64(step), as: &worker)
                if step % 100 == 0 { clients = (0..<4).map(open) }
            }
        }
        // It came to the caps, so they were tried.
        #expect(most.results > 5_000 && most.bytes > 10_000)
        for round in 0..<400 where bench.core.snapshot.jobs > 0 {
            for place in 0..<4 {
                clients[place] = open(place)
                for job in bench.results { bench.acknowledge(job, as: &clients[place]) }
            }
            for report in bench.core.jobReports(in: .leased) {
                if let lease = bench.lease(of: report.key) { bench.finish(lease, bytes: 500, as: &worker) }
            }
            bench.wait(1 * .second)
            bench.beat(UInt64(10_000 + round), as: &worker)
        }
        #expect(bench.core.snapshot.jobs == 0 && bench.core.usage.bytes == 0)
        #expect(bench.core.held.isEmpty)
    }
}

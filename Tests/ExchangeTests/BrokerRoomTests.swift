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
            guard bench.core.jobReport(JobKey(client: identifier(1), job: identifier(number)))?.state == .inMailbox
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

    @Test("what is remembered of jobs that are over is bounded, too")
    func tombstones() {
        var bench = bench { $0.tombstoneBytes = 5_000 }
        var client = bench.client(1)
        var refused = 0
        for number in 0..<40 {
            bench.submit(number, lifetime: 60_000, as: &client)
            if bench.rejection?.code == .brokerFull {
                refused += 1
                #expect((bench.rejection?.retryAfterMs ?? 0) > 1_000)
            }
            bench.cancel(identifier(number), as: &client)
        }
        #expect(refused > 20 && bench.core.usage.tombstones < 5_000 + Tombstone.largest)
        bench.wait(12 * 60 * .second)
        client = bench.client(1)
        bench.submit(100, as: &client)
        #expect(bench.has(isAccepted) && bench.core.usage.tombstones == 0)
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
            $0.tombstoneBytes = 40_000
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

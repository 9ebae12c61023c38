import Foundation
import Testing
import Wire

@testable import Exchange

/// Jobs that bring workers down.
@Suite struct BrokerCrashTests {
    /// The worker process dies and starts again with nothing: its READY names no leases.
    private func crash(_ number: Int, _ bench: inout BrokerBench) { _ = bench.worker(number) }

    @Test func aPoisonJobBecomesADeadLetterAndItsNeighboursDoNot() {
        var bench = BrokerBench()
        var client = bench.client(1)
        let poison: JobID = identifier(13)
        for number in 11...14 { bench.submit(number, as: &client) }
        var worker = bench.worker(1)
        var crashes = 0
        var done: Set<JobID> = []
        var running = bench.leased
        for _ in 0..<200 where done.count < 3 || bench.deadLetters.isEmpty {
            if running.contains(where: { JobID($0.job.jobID) == poison }) {
                crashes += 1
                worker = bench.worker(1)
                running = bench.leased
            } else if let job = running.popLast() {
                bench.finish(job.job, as: &worker)
                done.insert(JobID(job.job.jobID)!)
                running += bench.leased
            }
            bench.wait(500 * .millisecond)
            running += bench.leased
            bench.beat(UInt64(crashes), as: &worker)
            #expect(running.count == 1 || !running.contains(where: \.alone))
        }
        #expect(bench.deadLetters == [JobKey(client: identifier(1), job: poison)])
        #expect(done.count == 3 && !done.contains(poison))
        // Once with its neighbours, which counts for nobody, then three times alone.
        #expect(crashes == 4)
        var again = bench.client(1)
        #expect(bench.state(of: poison, as: &again) == .deadLetter)
    }

    @Test func aDeadLetterCanBeReplayedAndDropped() {
        var configuration = Fixture.configuration
        configuration.crashesAllowed = 1
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        bench.submit(1, as: &client)
        let key = JobKey(client: identifier(1), job: identifier(1))
        _ = bench.worker(1)
        crash(1, &bench)
        bench.wait(1 * .second)
        crash(1, &bench)
        #expect(bench.ended == [.deadLetter])
        #expect(bench.deadLetters == [key])
        bench.take(bench.core.retry(key, at: bench.moment) ?? [])
        #expect(bench.leased.first?.alone == true)
        crash(1, &bench)
        #expect(bench.deadLetters == [key])
        bench.take(bench.core.drop(key, at: bench.moment) ?? [])
        #expect(bench.deadLetters.isEmpty && bench.core.snapshot.jobs == 0)
        let again = bench.core.retry(key, at: bench.moment)
        #expect(again?.isEmpty == nil)
        #expect(bench.core.standing(of: key)?.state == .cancelled)
    }

    @Test("a pass that fails suspects those who shared it; one that fails alone is given up, its words kept")
    func failedPasses() throws {
        var bench = BrokerBench()
        var client = bench.client(1)
        let poison = bench.submit(1, as: &client).key
        bench.submit(2, as: &client)
        var worker = bench.worker(1)
        for job in bench.leased { bench.nack(job.job, .internal, "no kernel", as: &worker) }
        var attempts: [JobID: Int] = [:]
        for _ in 0..<100 where bench.deadLetters.isEmpty || attempts.count < 2 {
            bench.wait(1 * .second)
            while let job = bench.leased.first {
                #expect(job.alone)
                attempts[JobID(job.job.jobID)!, default: 0] += 1
                if JobID(job.job.jobID) == poison.job {
                    bench.nack(job.job, .internal, "no kernel", as: &worker)
                } else {
                    bench.finish(job.job, as: &worker)
                }
            }
            bench.say(.ping(WirePing()), as: &worker)
        }
        #expect(bench.deadLetters == [poison] && attempts == [poison.job: 3, identifier(2): 1])
        let report = try #require(bench.core.jobReports(in: .deadLetter).first)
        #expect(report.state == .deadLetter && report.crashes == 3 && report.attempts == 4 && report.isSuspect)
        #expect(report.lastLoss?.reason == "no kernel" && report.lastLoss?.worker == identifier(1))
        #expect(bench.core.jobReports(in: .inMailbox).map(\.key.job) == [identifier(2)])
        #expect(bench.core.jobReports(of: identifier(2)).isEmpty && bench.core.jobReports().count == 2)
    }

    @Test func aSuspectIsNotStarvedByABusyWorker() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        _ = bench.worker(1, slots: 2)
        crash(1, &bench)
        for number in 2...30 { bench.submit(number, as: &client) }
        bench.wait(100 * .millisecond)
        var worker = bench.worker(2, slots: 2)
        var running = bench.leased
        bench.wait(400 * .millisecond)
        running += bench.leased
        // Worker 1 was silenced by its second start; worker 2 always has the next job at hand.
        var turns = 0
        while !running.contains(where: \.alone), turns < 20, !running.isEmpty {
            turns += 1
            bench.finish(running.removeFirst().job, as: &worker)
            running += bench.leased
        }
        #expect(turns < 20)
    }

    @Test("while a client's jobs bring workers down one by one, the others' go on", arguments: [1, 2, 4])
    func crashesHoldNobodyUp(count: Int) {
        var configuration = Fixture.configuration
        configuration.backoff = 10 * .millisecond
        configuration.longestBackoff = 100 * .millisecond
        var bench = BrokerBench(configuration)
        var (poisoner, honest) = (bench.client(1), bench.client(2))
        for number in 0..<50 { bench.submit(number, as: &poisoner) }
        _ = bench.worker(1, slots: 50)
        // It crashed, and all its jobs are suspects: 150 more crashes before they are dead letters.
        var workers = (0..<count).map { bench.worker(1 + $0, slots: 2) }
        for number in 0..<40 { bench.submit(number, as: &honest) }
        var done = 0, turns = 0
        while done < 40, turns < 300 {
            turns += 1
            bench.wait(1 * .second)
            for place in 0..<count {
                bench.beat(UInt64(turns), as: &workers[place])
                let own = bench.core.jobReports(in: .leased).filter { $0.worker == identifier(1 + place) }
                if own.contains(where: { $0.key.client == identifier(1) }) {
                    workers[place] = bench.worker(1 + place, slots: 2)
                    continue
                }
                for job in own {
                    guard let lease = bench.lease(of: job.key) else { continue }
                    bench.finish(lease, as: &workers[place])
                    done += 1
                }
            }
        }
        #expect(done == 40 && turns < 100)
    }

    @Test func outOfMemoryMakesAJobRunAloneWithoutBlame() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        bench.nack(ref, .outOfMemory, as: &worker)
        bench.wait(2 * .second)
        #expect(bench.leased.first?.alone == true)
        #expect(bench.core.jobs[bench.core.jobs.handles[0]]?.crashes == 0)
    }

    @Test(
        "a job that finds no memory alone goes to a worker that was not asked, and each is told how often it was in vain"
    )
    func outOfMemoryGoesToAnotherWorker() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var workers = [bench.worker(1)]
        let first = bench.leased[0].job
        workers += [bench.worker(2), bench.worker(3)]
        bench.nack(first, .outOfMemory, as: &workers[0])
        var asked: [ConnectionID] = [], told: [UInt32] = []
        for _ in 0..<4 {
            bench.wait(.second / 2)
            for _ in 0..<40 where bench.leased.isEmpty {
                for place in workers.indices { bench.beat(1, as: &workers[place]) }
                bench.wait(.second / 2)
            }
            guard let lease = bench.sent.first(where: { if case .job = $0.body { true } else { false } }),
                let job = bench.leased.first, let place = workers.firstIndex(where: { $0.connection == lease.to })
            else {
                Issue.record("not leased")
                return
            }
            #expect(job.alone)
            asked.append(lease.to)
            told.append(job.memoryFailures)
            bench.nack(job.job, .outOfMemory, as: &workers[place])
        }
        // The first attempt shared its worker, as far as the broker knows: it is no failure alone.
        #expect(told == [0, 1, 2, 3])
        #expect(Set(asked.prefix(3)).count == 3, "each of the three before one is asked again")
    }
}

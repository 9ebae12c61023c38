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
        for _ in 0..<200 where done.count < 3 || bench.core.deadLetters.isEmpty {
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
        #expect(bench.core.deadLetters == [JobKey(client: identifier(1), job: poison)])
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
        #expect(bench.core.deadLetters == [key])
        bench.take(bench.core.replay(key, at: bench.moment) ?? [])
        #expect(bench.leased.first?.alone == true)
        crash(1, &bench)
        #expect(bench.core.deadLetters == [key])
        bench.take(bench.core.discard(key, at: bench.moment) ?? [])
        #expect(bench.core.deadLetters.isEmpty && bench.core.snapshot.jobs == 0)
        let again = bench.core.replay(key, at: bench.moment)
        #expect(again?.isEmpty == nil)
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
}

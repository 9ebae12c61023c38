import Foundation
import Testing
import Wire

@testable import Exchange

/// Starts from what the journal holds.
@Suite struct BrokerRecoveryTests {
    @Test func everyStateComesBack() {
        var bench = BrokerBench()
        var client = bench.client(1)
        for number in 1...5 { bench.submit(number, as: &client) }
        var worker = bench.worker(1, slots: 2)
        bench.finish(bench.leased[0].job, as: &worker)
        let finished = bench.results[0]
        bench.cancel(identifier(5), as: &client)

        var second = BrokerBench(epoch: 2, recovered: bench.journal)
        var returned = second.client(1)
        #expect(second.results == [finished])
        #expect(second.state(of: identifier(5), as: &returned) == .cancelled)
        #expect(second.core.snapshot.jobs == 4)
        #expect(second.core.snapshot.bytes == bench.core.snapshot.bytes)
        second.acknowledge(finished, as: &returned)

        var third = BrokerBench(epoch: 3, recovered: second.journal)
        returned = third.client(1)
        #expect(third.results.isEmpty)
        #expect(third.state(of: finished, as: &returned) == .acknowledged)
        #expect(third.core.snapshot.jobs == 3)
    }

    /// A broker whose only job was leased when it ended.
    private func leased() -> (journal: [JournalEntry], ref: WireJobRef) {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        _ = bench.worker(1)
        return (bench.journal, bench.leased[0].job)
    }

    /// Whether its worker still runs the job, or had the result ready.
    @Test(arguments: [true, false]) func whatAWorkerBringsThroughARestartIsTaken(isRunning: Bool) {
        let (journal, ref) = leased()
        var second = BrokerBench(epoch: 2, recovered: journal)
        var worker = second.worker(1, held: isRunning ? [ref] : [])
        #expect(second.leased.isEmpty && second.cancelled.isEmpty)
        #expect(second.core.snapshot.counters.readopted == (isRunning ? 1 : 0))
        second.finish(ref, as: &worker)
        #expect(second.stored.first?.stale == false)
        _ = second.client(1)
        #expect(second.results.count == 1)
    }

    @Test func jobsWaitForTheirWorkersAndAreThenLeasedAnewWithoutBlame() {
        let (journal, stale) = leased()
        var second = BrokerBench(epoch: 2, recovered: journal)
        var other = second.worker(2)
        #expect(second.leased.isEmpty)
        second.wait(5 * .second)
        #expect(second.leased.isEmpty)
        second.wait(2 * .second)
        #expect(second.leased.first?.job.fence.attempt == 2)
        #expect(second.leased.first?.job.fence.bootEpoch == 2)
        #expect(second.leased.first?.alone == false)
        let fresh = second.leased[0].job
        var late = second.worker(1, held: [stale])
        #expect(second.cancelled.first?.job == stale)
        second.finish(stale, as: &late)
        #expect(second.stored.first?.stale == true)
        second.finish(fresh, as: &other)
        #expect(second.stored.first?.stale == false)
    }

    @Test func aFenceOfAnotherBrokerOrEpochIsStale() {
        let (journal, ref) = leased()
        for change: (inout WireFence) -> Void in [
            { $0.brokerID = Data(repeating: 5, count: 16) }, { $0.bootEpoch += 5 }, { $0.attempt += 1 },
        ] {
            var second = BrokerBench(epoch: 2, recovered: journal)
            var forged = ref
            change(&forged.fence)
            var worker = second.worker(1, held: [forged])
            #expect(second.cancelled.count == 1)
            second.finish(forged, as: &worker)
            #expect(second.stored.first?.stale == true)
            #expect(!second.has("finished"))
        }
    }

    /// A first attempt is told before it is stored. What is forgotten of it must never count again, over however many restarts.
    @Test func aFirstAttemptThatWasForgottenStaysStale() {
        let (journal, forgotten) = leased()
        var second = BrokerBench(epoch: 2, recovered: Array(journal.prefix(1)))
        var worker = second.worker(1, held: [forgotten])
        #expect(second.cancelled.map(\.job) == [forgotten])
        let fresh = second.leased[0].job
        #expect(fresh.fence.attempt == forgotten.fence.attempt)
        second.finish(forgotten, as: &worker)
        #expect(second.stored.first?.stale == true)
        var third = BrokerBench(epoch: 3, recovered: second.journal)
        worker = third.worker(1, held: [forgotten])
        third.finish(forgotten, as: &worker)
        #expect(third.stored.first?.stale == true)
        third.finish(fresh, as: &worker)
        #expect(third.stored.first?.stale == false)
    }

    @Test func suspicionAndCrashesOutliveTheBroker() {
        var journal: [JournalEntry] = []
        var crashes = 0
        for epoch in 1...6 as ClosedRange<UInt64> {
            var bench = BrokerBench(epoch: epoch, recovered: journal)
            var client = bench.client(1)
            if epoch == 1 { bench.submit(1, as: &client) }
            _ = bench.worker(1)
            bench.wait(7 * .second)
            guard bench.deadLetters.isEmpty, crashes < 4 else { break }
            #expect(bench.core.jobReports().first?.isSuspect == (epoch > 1))
            // Its worker starts again and names nothing; once in every life of the broker.
            _ = bench.worker(1)
            crashes += 1
            journal = bench.journal
        }
        // Once unsuspected, three times alone.
        #expect(crashes == 4)
        #expect(BrokerBench(epoch: 9, recovered: journal).deadLetters.count == 1)
    }

    /// An operator may allow fewer crashes at the next start.
    @Test func whoCrashedTooOftenAlreadyIsGivenUpAtTheNextCrashAndNotForLess() throws {
        var bench = BrokerBench()
        var client = bench.client(1)
        let key = bench.submit(1, as: &client).key
        for _ in 1...4 {
            _ = bench.worker(1)
            bench.wait(5 * .second)
        }
        #expect(bench.core.jobs[bench.core.jobs.handles[0]]?.crashes == 2)
        var configuration = Fixture.configuration
        configuration.crashesAllowed = 2
        var second = BrokerBench(configuration, epoch: 2, recovered: bench.journal)
        var worker = second.worker(1)
        func lease(_ bench: inout BrokerBench) throws -> WireJobRef {
            for _ in 1...30 where bench.lease(of: key) == nil { bench.wait(1 * .second) }
            return try #require(bench.lease(of: key))
        }
        second.nack(try lease(&second), .storage, as: &worker)
        #expect(second.deadLetters.isEmpty)
        _ = try lease(&second)
        _ = second.worker(1)
        #expect(second.deadLetters.count == 1)
    }

    @Test func aSuspectThatIsReadoptedStillRunsAlone() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        _ = bench.worker(1)
        _ = bench.worker(1)
        bench.wait(1 * .second)
        let ref = bench.leased[0].job
        var second = BrokerBench(epoch: 2, recovered: bench.journal)
        client = second.client(1)
        var worker = second.worker(1, held: [ref])
        second.submit(2, as: &client)
        #expect(second.leased.isEmpty)
        second.finish(ref, as: &worker)
        #expect(second.leased.count == 1)
    }

    /// Until the client is back, the roster tells what it may.
    @Test func recoveredJobsKeepTheirPriority() {
        var bench = BrokerBench()
        var low = bench.client(1), high = bench.client(2, ClientRights(priority: 5))
        bench.submit(1, as: &low)
        bench.submit(2, as: &high)
        var second = BrokerBench(
            epoch: 2, recovered: bench.journal, rights: [identifier(2): ClientRights(priority: 5)])
        second.take(second.core.tick(at: second.moment))
        _ = second.worker(1, slots: 1)
        #expect(second.leased.map { JobID($0.job.jobID) } == [identifier(2)])
    }

    @Test func expiryGoesOnOverARestart() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, lifetime: 5_000, as: &client)
        var second = BrokerBench(epoch: 2, recovered: bench.journal)
        second.now = 6 * .second
        second.take(second.core.tick(at: second.moment))
        #expect(second.core.snapshot.jobs == 0)
        #expect(second.has("ended"))
    }
}

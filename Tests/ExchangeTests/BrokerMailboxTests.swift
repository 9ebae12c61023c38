import Foundation
import Testing
import Wire

@testable import Exchange

@Suite struct BrokerMailboxTests {
    @Test func aResultIsStoredThenConfirmedAndDelivered() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        bench.finish(ref, as: &worker)
        #expect(bench.results == [identifier(1)])
        #expect(
            bench.sent.first { $0.to == client.connection }?.frames.attachments.last
                == Fixture.answer(to: JobKey(client: identifier(1), job: identifier(1))))
        #expect(bench.stored.count == 1)
        #expect(bench.has("finished"))
        bench.acknowledge(identifier(1), as: &client)
        #expect(bench.has(isAckStored))
        #expect(bench.core.snapshot.bytes == 0)
        bench.acknowledge(identifier(1), as: &client)
        #expect(bench.has(isAckStored))
    }

    @Test func anAbsentClientFindsItsResults() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        bench.submit(2, as: &client)
        bench.say(.bye(WireBye()), as: &client)
        var worker = bench.worker(1)
        for job in bench.leased { bench.finish(job.job, as: &worker) }
        #expect(bench.results.isEmpty)
        client = bench.client(1)
        #expect(Set(bench.results) == [identifier(1), identifier(2)])
        // Not acknowledged: they come again.
        client = bench.client(1)
        #expect(bench.results.count == 2)
        bench.acknowledge(identifier(1), as: &client)
        _ = bench.client(1)
        #expect(bench.results == [identifier(2)])
    }

    @Test func aSlowReaderIsNotFlooded() {
        var configuration = Fixture.configuration
        configuration.resultWindow = 2
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        for number in 1...5 { bench.submit(number, as: &client) }
        var worker = bench.worker(1, slots: 8)
        var delivered: [JobID] = []
        for job in bench.leased {
            bench.finish(job.job, as: &worker)
            delivered += bench.results
        }
        #expect(delivered.count == 2)
        bench.acknowledge(delivered[0], as: &client)
        #expect(bench.results.count == 1)
        // One that is acknowledged without having been sent makes no room.
        bench.acknowledge(identifier(5), as: &client)
        #expect(bench.results.isEmpty)
    }

    /// Whichever way a result leaves the window, the next one comes.
    @Test(arguments: 0..<3) func whatLeavesTheWindowMakesRoom(way: Int) {
        var configuration = Fixture.configuration
        configuration.resultWindow = 1
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        bench.submit(1, lifetime: 5_000, as: &client)
        bench.submit(2, as: &client)
        var worker = bench.worker(1)
        for job in bench.leased { bench.finish(job.job, as: &worker) }
        #expect(bench.results.isEmpty)
        switch way {
        case 0: bench.cancel(identifier(1), as: &client)
        case 1: bench.acknowledge(identifier(1), as: &client)
        default: bench.wait(6 * .second)
        }
        #expect(bench.results == [identifier(2)])
    }

    @Test func aLargeResultStillGetsThroughASmallWindow() {
        var configuration = Fixture.configuration
        configuration.resultWindowBytes = 1
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        bench.submit(1, as: &client)
        bench.submit(2, as: &client)
        var worker = bench.worker(1)
        for job in bench.leased { bench.finish(job.job, as: &worker) }
        #expect(bench.results.isEmpty)  // the second waits for the first
        bench.acknowledge(identifier(1), as: &client)
        #expect(bench.results == [identifier(2)])
    }

    @Test func aResultMayBeLongerThanAJobAndNotLongerThanItsOwnLimit() {
        var configuration = Fixture.configuration
        configuration.limits.bytesPerJob = 10
        configuration.limits.bytesPerResult = 40
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        bench.finish(bench.leased[0].job, as: &worker)  // 32 bytes
        #expect(bench.results == [identifier(1)])
        bench.core.configuration.limits.bytesPerResult = 31
        bench.submit(2, as: &client)
        bench.finish(bench.leased[0].job, as: &worker)
        #expect(bench.stored.first?.stale == true)
        #expect(bench.ended == [.tooLarge])
        #expect(bench.core.snapshot.jobs == 1)
    }

    @Test func resultsAreNotKeptForEver() {
        var configuration = Fixture.configuration
        configuration.limits.resultLife = 5_000
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        bench.finish(bench.leased[0].job, as: &worker)
        bench.wait(6 * .second)
        #expect(bench.ended == [.expired])
        #expect(bench.core.snapshot.jobs == 0)
        #expect(bench.state(of: identifier(1), as: &client) == .expired)
    }

    @Test func acknowledgingAJobDoneElsewhereEndsItHere() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        _ = bench.worker(1)
        bench.acknowledge(identifier(1), as: &client)
        #expect(bench.has(isAckStored))
        #expect(bench.cancelled.count == 1)
        #expect(bench.core.snapshot.jobs == 0)
    }

    @Test func fetchTellsAboutWhatIsNotThere() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.fetch(identifier(9), as: &client)
        #expect(bench.ended == [.unknownJob])
    }
}

import Foundation
import Testing
import Wire

@testable import Exchange

@Suite struct WorkerCoreTests {
    private func bench() -> LinkBench<WorkerCore> {
        LinkBench(
            WorkerCore(
                offer: WorkerCore.Offer(
                    roles: [.denoise], slots: 3, run: Fixture.run, poolKeys: [Fixture.denoiseKey]),
                random: SplitMix64(seed: 9)))
    }

    private let key = JobKey(client: identifier(1), job: identifier(5))

    private func fence(_ attempt: UInt32) -> Fence { Fence(broker: Fixture.broker, bootEpoch: 1, attempt: attempt) }

    private func ref(_ attempt: UInt32) -> WireJobRef {
        var ref = WireJobRef()
        ref.clientID = Data(key.client.bytes)
        ref.jobID = Data(key.job.bytes)
        ref.fence = fence(attempt).message
        return ref
    }

    private func give(_ attempt: UInt32, _ bench: inout LinkBench<WorkerCore>) {
        var job = WireJob()
        job.job = ref(attempt)
        job.leaseMs = 5000
        bench.say(.job(job), [Fixture.envelope(client: key.client, job: key.job).bytes, [7]])
    }

    private func readies(_ bench: LinkBench<WorkerCore>) -> [WireReady] {
        bench.sent.compactMap { if case .ready(let ready) = $0.control.body { ready } else { nil } }
    }

    @Test func readyTellsWhatItOffers() throws {
        var bench = bench()
        bench.welcome()
        let ready = try #require(readies(bench).first)
        #expect(ready.role == ["denoise"] && ready.slots == 3 && ready.held.isEmpty)
        #expect(ready.poolKeyID == [Data(Fixture.denoiseKey.bytes)])
    }

    @Test func aJobIsHandedOverWithItsFence() {
        var bench = bench()
        bench.welcome()
        give(1, &bench)
        guard case .job(let job) = bench.events.first else {
            Issue.record("no job")
            return
        }
        #expect(job.key == key && job.fence == fence(1) && job.sealed == [7] && job.lease == 5 * .second)
        #expect(job.checkpoint == nil && !job.alone)
        give(1, &bench)
        #expect(bench.events.isEmpty)
    }

    @Test func aReconnectionNamesTheLeasesAndRepeatsResults() throws {
        var bench = bench()
        bench.welcome()
        give(1, &bench)
        bench.command(.result(key, fence(1), cost: 9, header: [1], sealed: [2]))
        #expect(bench.kinds == ["workerResult"])
        bench.welcome()
        #expect(try #require(readies(bench).first).held == [ref(1)])
        #expect(bench.kinds.prefix(2) == ["ready", "workerResult"])
        var stored = WireResultStored()
        stored.job = ref(1)
        bench.say(.resultStored(stored))
        #expect(bench.events.count == 1)
        bench.welcome()
        #expect(try #require(readies(bench).first).held.isEmpty)
        #expect(!bench.kinds.contains("workerResult"))
    }

    @Test func whatIsHandedBackWithoutASessionIsHandedBackInTheNext() throws {
        var bench = bench()
        bench.welcome()
        give(1, &bench)
        var bye = WireBye()
        bye.reason = "test"
        bench.say(.bye(bye))
        bench.command(.nack(key, fence(1), .busy, "no room", retryAfter: .second))
        #expect(bench.sent.isEmpty)
        bench.welcome()
        #expect(try #require(readies(bench).first).held == [ref(1)])
        #expect(bench.kinds.contains("nack"))
        bench.welcome()
        #expect(try #require(readies(bench).first).held.isEmpty)
    }

    @Test func aNewAttemptReplacesTheOld() {
        var bench = bench()
        bench.welcome()
        give(1, &bench)
        give(2, &bench)
        #expect(bench.events.count == 2)
        guard case .cancel(_, let old, _) = bench.events.first, case .job(let job) = bench.events.last else {
            Issue.record("not cancel, then job")
            return
        }
        #expect(old == fence(1) && job.fence == fence(2))
        bench.command(.result(key, fence(1), cost: 1, header: [1], sealed: [2]))
        #expect(bench.sent.isEmpty)
    }

    @Test func aCancelledAttemptIsNotSpokenOfAgain() {
        var bench = bench()
        bench.welcome()
        give(2, &bench)
        var cancel = WireCancelJob()
        cancel.job = ref(1)
        bench.say(.cancelJob(cancel))
        #expect(bench.events.isEmpty)
        cancel.job = ref(2)
        bench.say(.cancelJob(cancel))
        #expect(bench.events.count == 1)
        bench.command(.progress(key, fence(2), done: 1, total: 2))
        bench.command(.result(key, fence(2), cost: 1, header: [1], sealed: [2]))
        #expect(bench.sent.isEmpty)
    }

    @Test func progressIsGatheredAndHeartbeatsCarryIterations() {
        var bench = bench()
        bench.welcome()
        give(1, &bench)
        var reports = 0
        var beats: [UInt64] = []
        for step in 1...40 {
            bench.command(.iterations(UInt64(step)))
            bench.command(.progress(key, fence(1), done: UInt64(step), total: 40))
            for frames in bench.sent where frames.kind == "progress" { reports += 1 }
            bench.wait(50 * .millisecond)
            for frames in bench.sent {
                if frames.kind == "progress" { reports += 1 }
                if case .heartbeat(let beat) = frames.control.body { beats.append(beat.iterations) }
            }
            bench.say(.pong(WirePong()))
        }
        #expect((7...10).contains(reports))  // every 250 ms of two seconds, not forty times
        #expect(beats.count == 2 || beats.count == 1)
        #expect(beats.allSatisfy { $0 > 0 })
    }

    @Test func drainOutlivesTheSession() {
        var bench = bench()
        bench.welcome()
        bench.command(.drain)
        #expect(bench.kinds == ["drain"])
        bench.welcome()
        #expect(bench.kinds.contains("drain"))
    }
}

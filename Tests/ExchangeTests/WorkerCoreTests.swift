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

    @Test("a checkpoint comes with the header that it was sealed under; without one it is none")
    func checkpoints() {
        let header = CheckpointHeader(fence: fence(1), step: 7, modelVersion: 3, worker: identifier(8))
        for hasHeader in [true, false] {
            var bench = bench()
            bench.welcome()
            var job = WireJob()
            job.job = ref(2)
            if hasHeader { job.checkpoint = header.message }
            bench.say(.job(job), [Fixture.envelope(client: key.client, job: key.job).bytes, [7], [9]])
            guard case .job(let given) = bench.events.first else {
                Issue.record("no job")
                return
            }
            #expect(given.checkpoint?.header == (hasHeader ? header : nil))
            #expect(given.checkpoint?.sealed == (hasHeader ? [9] : nil))
            bench.command(.checkpoint(key, fence(2), step: 9, version: 3, sealed: [4]))
            guard case .checkpoint(let said)? = bench.sent.first?.control.body else {
                Issue.record("no CHECKPOINT")
                return
            }
            #expect(said.job == ref(2) && said.step == 9 && said.modelVersion == 3)
            // Under another attempt it says nothing.
            bench.command(.checkpoint(key, fence(1), step: 9, version: 3, sealed: [4]))
            #expect(bench.sent.isEmpty)
        }
    }

    @Test("it goes once all that it said was heard, or after a while")
    func leaving() {
        var bench = bench()
        bench.welcome()
        bench.say(.pong(WirePong()))  // to the heartbeat of the opening
        give(1, &bench)
        bench.command(.nack(key, fence(1), .draining, "going", retryAfter: 0))
        bench.command(.close)
        #expect(bench.kinds == ["heartbeat"] && !bench.closed)
        bench.say(.pong(WirePong()))
        #expect(bench.kinds == ["bye"] && bench.closed)

        // With a result that was not stored yet.
        bench = self.bench()
        bench.welcome()
        bench.say(.pong(WirePong()))
        give(1, &bench)
        bench.command(.result(key, fence(1), cost: 9, header: [1], sealed: [2]))
        bench.command(.close)
        bench.say(.pong(WirePong()))
        #expect(!bench.closed)
        var stored = WireResultStored()
        stored.job = ref(1)
        bench.say(.resultStored(stored))
        #expect(bench.closed)

        // Nobody answers.
        bench = self.bench()
        bench.welcome()
        bench.command(.close)
        bench.wait(3 * .second)
        #expect(!bench.closed)
        bench.wait(2 * .second)
        #expect(bench.closed)

        // Nobody is there.
        bench = self.bench()
        bench.command(.close)
        #expect(bench.closed)
    }

    @Test("only trainers hear which versions are needed, once for each change")
    func versions() {
        for role in [WorkerRole.train, .denoise] {
            var bench = LinkBench(
                WorkerCore(
                    offer: WorkerCore.Offer(roles: [role], slots: 3, run: Fixture.run, poolKeys: []),
                    random: SplitMix64(seed: 9)))
            bench.welcome()
            var heard: [Set<UInt64>] = []
            for versions in [[], [4, 2], [2, 4], [4]] as [[UInt64]] {
                var pong = WirePong()
                pong.versionInUse = versions
                bench.say(.pong(pong))
                for case .versionsNeeded(let versions) in bench.events { heard.append(versions) }
            }
            #expect(heard == (role == .train ? [[2, 4], [4]] : []))
        }
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

    @Test("a heartbeat that cannot be meant neither overflows nor makes it spin", arguments: [1, 49, 50, UInt64.max])
    func extremeHeartbeats(milliseconds: UInt64) throws {
        var bench = bench()
        bench.welcome(heartbeatMs: milliseconds)
        bench.say(.pong(WirePong()))
        let due = try #require(bench.machine.nextDeadline) - bench.now
        if milliseconds == .max {
            #expect(due > 60 * .second && due <= 3_600 * .second)
            bench.wait(3_600 * .second)
            #expect(bench.kinds.contains("heartbeat"))
        } else {
            #expect(due >= 50 * .millisecond)
            bench.wait(150 * .millisecond)
            #expect((2...4).contains(bench.kinds.count { $0 == "heartbeat" }))
        }
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

import Foundation
import Testing
import Wire

@testable import Exchange

@Suite struct BrokerLeaseTests {
    @Test func aWorkerGetsNoMoreThanItsSlots() {
        var bench = BrokerBench()
        var client = bench.client(1)
        for number in 1...10 { bench.submit(number, as: &client) }
        var worker = bench.worker(1, slots: 3)
        #expect(bench.leased.count == 3)
        let first = bench.leased[0].job
        bench.finish(first, as: &worker)
        #expect(bench.leased.count == 1)
    }

    @Test func workIsSpreadOverWorkersInTurn() {
        var bench = BrokerBench()
        var client = bench.client(1)
        let workers = [bench.worker(1), bench.worker(2)]
        var got: [ConnectionID: Int] = [:]
        for number in 1...4 {
            bench.submit(number, as: &client)
            for sent in bench.sent { if case .job = sent.body { got[sent.to, default: 0] += 1 } }
        }
        #expect(got[workers[0].connection] == 2 && got[workers[1].connection] == 2)
    }

    @Test func aWorkerGetsOnlyWhatItCanOpenAndMayDo() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, kind: .publish, as: &client)
        _ = bench.worker(1, roles: [.denoise])
        #expect(bench.leased.isEmpty)
        _ = bench.worker(2, roles: [.train])
        #expect(bench.leased.count == 1)
    }

    @Test func aRoleWithoutCertificateIsRefused() {
        var bench = BrokerBench()
        var peer = bench.open(.worker(identifier(1), roles: [.denoise]))
        bench.ready(&peer, roles: [.denoise, .train])
        #expect(bench.byes.count == 1)
    }

    @Test func progressKeepsALeaseAndARepeatedFigureDoesNot() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        for step in 1...10 {
            bench.wait(4 * .second)
            bench.progress(ref, UInt64(step), as: &worker)
        }
        #expect(bench.core.snapshot.roles[0].leased == 1)
        for _ in 1...3 {
            bench.wait(6 * .second)
            bench.progress(ref, 10, as: &worker)
        }
        #expect(bench.core.snapshot.counters.leasesLost == 1)
    }

    @Test("steps that go back and forth are no progress")
    func progressThatGoesBack() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        bench.progress(ref, 10, as: &worker)
        for _ in 1...4 {
            for step: UInt64 in [1, 10] {
                bench.wait(3 * .second)
                bench.progress(ref, step, as: &worker)
            }
        }
        #expect(bench.core.snapshot.counters.leasesLost == 1)
    }

    @Test func aHungEngineLosesItsLeaseThoughItBeats() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        for iteration in 1...20 {
            bench.wait(2 * .second)
            bench.beat(UInt64(iteration), as: &worker)
        }
        #expect(bench.core.snapshot.roles[0].leased == 1)
        var revoked = false
        for _ in 1...10 {
            bench.wait(2 * .second)
            revoked = revoked || bench.cancelled.count == 1
            bench.beat(20, as: &worker)
        }
        #expect(revoked)
        #expect(bench.core.snapshot.counters.leasesLost >= 1)
    }

    @Test func aStaleFenceChangesNothing() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var slow = bench.worker(1)
        let stale = bench.leased[0].job
        bench.wait(9 * .second)  // silence: the lease is lost
        var quick = bench.worker(2)
        guard let fresh = bench.leased.first?.job else {
            Issue.record("not leased again")
            return
        }
        #expect(fresh.fence.attempt == 2)
        slow = bench.worker(1, held: [stale])
        #expect(bench.cancelled.first?.job == stale)
        bench.finish(stale, as: &slow)
        #expect(bench.stored.first?.stale == true)
        #expect(!bench.has("finished"))
        bench.progress(stale, 5, as: &slow)
        bench.nack(stale, .busy, as: &slow)
        #expect(bench.core.snapshot.counters.handedBack == 0)
        bench.finish(fresh, as: &quick)
        #expect(bench.stored.first?.stale == false)
        #expect(bench.results.count == 0)  // the client was silent, too, and has no session
        #expect(bench.has("finished"))
    }

    @Test func anotherWorkerCannotSpeakForALease() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var holder = bench.worker(1)
        let ref = bench.leased[0].job
        var other = bench.worker(2)
        bench.finish(ref, as: &other)
        #expect(bench.stored.first?.stale == true)
        bench.finish(ref, as: &holder)
        #expect(bench.stored.first?.stale == false)
    }

    @Test func aLateResultOfTheNewestAttemptIsTaken() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        bench.nack(ref, .busy, as: &worker)
        #expect(bench.core.snapshot.roles[0].leased == 0)
        bench.finish(ref, as: &worker)
        #expect(bench.stored.first?.stale == false)
        #expect(bench.results.count == 1)
    }

    @Test func anUnconfirmedResultIsConfirmedAgain() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        bench.finish(ref, as: &worker)
        worker = bench.worker(1, held: [ref])
        #expect(bench.cancelled.isEmpty)
        bench.finish(ref, as: &worker)
        #expect(bench.stored.first?.stale == false)
        #expect(bench.journal.count(where: { if case .finished = $0 { true } else { false } }) == 1)
    }

    @Test func aWorkerThatComesBackGoesOn() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        bench.submit(2, as: &client)
        _ = bench.worker(1)
        let (kept, forgotten) = (bench.leased[0].job, bench.leased[1].job)
        var worker = bench.worker(1, held: [kept])
        #expect(bench.core.snapshot.roles[0].leased == 1)
        bench.finish(kept, as: &worker)
        #expect(bench.stored.first?.stale == false)
        bench.wait(1 * .second)
        #expect(bench.leased.first?.job.jobID == forgotten.jobID)
        #expect(bench.leased.first?.job.fence.attempt == 2)
        #expect(bench.leased.first?.alone == true)
    }

    /// It may come back with the job, and be lost once more.
    @Test func anAttemptIsHeldAgainstItsJobOnce() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        _ = bench.worker(1)
        _ = bench.worker(1)
        bench.wait(1 * .second)
        let alone = bench.leased[0].job
        for _ in 1...2 {
            _ = bench.worker(1, held: [])
            #expect(bench.core.jobs[bench.core.jobs.handles[0]]?.crashes == 1)
            _ = bench.worker(1, held: [alone])
            #expect(bench.core.snapshot.roles[0].leased == 1)
        }
    }

    @Test func whatAWorkerHandsBackIsNotHeldAgainstTheJob() {
        var configuration = Fixture.configuration
        configuration.crashesAllowed = 1
        configuration.longestBackoff = 1 * .second
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        bench.submit(1, as: &client)
        for round in 1...6 {
            var worker = bench.worker(round)
            bench.wait(5 * .second)
            guard case .leased(let lease) = bench.core.jobs[bench.core.jobs.handles[0]]?.state else {
                Issue.record("not leased in round \(round)")
                return
            }
            let ref = bench.core.ref(JobKey(client: identifier(1), job: identifier(1)), lease.fence)
            if round.isMultiple(of: 2) { bench.nack(ref, .storage, as: &worker) }
            bench.say(.bye(WireBye()), as: &worker)
        }
        #expect(bench.core.snapshot.counters.deadLetters == 0)
        #expect(bench.core.jobs[bench.core.jobs.handles[0]]?.suspect == false)
    }

    @Test("each pause before a job is leased again is twice the one before, up to the longest")
    func backoff() throws {
        var configuration = Fixture.configuration
        configuration.backoff = 1 * .second
        configuration.longestBackoff = 20 * .second
        configuration.lease = 1_000 * .second
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        let key = bench.submit(1, as: &client).key
        var worker = bench.worker(1)
        for round in 0..<7 {
            bench.nack(try #require(bench.lease(of: key)), .storage, as: &worker)
            let left = bench.now
            while bench.leased.isEmpty, bench.now - left < 60 * .second {
                bench.say(.ping(WirePing()), as: &worker)
                if bench.leased.isEmpty { bench.wait(50 * .millisecond) }
            }
            let pause = min(Int64(1 << round), 20) * .second
            #expect((pause / 2...pause + 100 * .millisecond).contains(bench.now - left))
        }
    }

    @Test func aDrainingWorkerGetsNothingNewAndKeepsWhatItHas() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        bench.say(.drain(WireDrain()), as: &worker)
        bench.submit(2, as: &client)
        #expect(bench.leased.isEmpty)
        bench.finish(ref, as: &worker)
        #expect(bench.stored.first?.stale == false)
    }

    @Test func aWorkerThatIsBusyIsLeftAlone() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        bench.nack(ref, .busy, as: &worker)
        bench.submit(2, as: &client)
        #expect(bench.leased.isEmpty)
        bench.wait(2 * .second)
        #expect(bench.leased.count == 2)
    }

    @Test func checkpointsAreHandedOn() throws {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        bench.checkpoint(ref, step: 7, version: 3, [4, 5, 6], as: &worker)
        bench.say(.bye(WireBye()), as: &worker)
        _ = bench.worker(2)
        bench.wait(1 * .second)
        let job = bench.sent.first { if case .job = $0.body { true } else { false } }
        #expect(job?.frames.attachments.count == 3)
        #expect(job?.frames.attachments.last == [4, 5, 6])
        let header = try CheckpointHeader(#require(bench.leased.first).checkpoint)
        #expect(
            header
                == CheckpointHeader(
                    fence: try Fence(ref.fence), step: 7, modelVersion: 3, worker: identifier(1)))
        #expect(bench.leased.first?.job.fence.attempt == 2)
        #expect(bench.core.snapshot.counters.resumed == 1)
    }

    @Test("a stale fence's checkpoint changes nothing")
    func staleCheckpoints() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var slow = bench.worker(1)
        let stale = bench.leased[0].job
        bench.checkpoint(stale, step: 5, version: 1, [5], as: &slow)
        bench.nack(stale, .draining, as: &slow)
        bench.checkpoint(stale, step: 6, version: 1, [6], as: &slow)
        var quick = bench.worker(2)
        #expect(bench.sent.last?.frames.attachments.last == [5])
        let fresh = bench.leased[0].job
        // Neither under the attempt before, nor by another worker.
        bench.checkpoint(stale, step: 9, version: 1, [9], as: &quick)
        bench.checkpoint(fresh, step: 9, version: 1, [9], as: &slow)
        #expect(bench.core.jobs[bench.core.jobs.handles[0]]?.checkpoint?.bytes == [5])
        bench.checkpoint(fresh, step: 7, version: 1, [7], as: &quick)
        #expect(bench.core.jobs[bench.core.jobs.handles[0]]?.checkpoint?.bytes == [7])
    }

    @Test("a worker that drains hands back at once, without blame, and gets nothing more")
    func drained() {
        var configuration = Fixture.configuration
        configuration.crashesAllowed = 1
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        for number in 1...3 { bench.submit(number, as: &client) }
        var worker = bench.worker(1)
        var other = bench.worker(2, slots: 1)
        for job in bench.core.workers[0].leases.compactMap({ bench.core.jobs[$0] }) {
            guard case .leased(let lease) = job.state else { continue }
            bench.nack(bench.core.ref(job.key, lease.fence), .draining, as: &worker)
        }
        #expect(bench.core.workers[0].leases.isEmpty && bench.core.workers[1].leases.count == 1)
        // In their old order, and before what came later.
        bench.submit(4, as: &client)
        for _ in 1...4 {
            guard let handle = bench.core.workers[1].leases.first, let job = bench.core.jobs[handle],
                case .leased(let lease) = job.state
            else { break }
            #expect(job.attempts == 2 || job.key.job == identifier(4))
            #expect(!lease.alone && job.crashes == 0)
            bench.finish(bench.core.ref(job.key, lease.fence), as: &other)
        }
        #expect(bench.core.snapshot.counters.finished == 4 && bench.core.snapshot.counters.deadLetters == 0)
    }

    @Test("checkpoints are bounded in bytes, of a client and in all; the one before stays")
    func checkpointBounds() {
        var configuration = Fixture.configuration
        configuration.limits.checkpointBytes = 1_000
        configuration.limits.bytesPerResult = 900
        var bench = BrokerBench(configuration)
        var client = bench.client(1, ClientRights(bytes: 3_000))
        bench.submit(1, as: &client)
        bench.submit(2, as: &client)
        var worker = bench.worker(1)
        let (first, second) = (bench.leased[0].job, bench.leased[1].job)
        func kept(_ place: Int) -> Int? {
            bench.core.jobs[bench.core.jobs.handles[place]]?.checkpoint?.bytes.count
        }
        bench.checkpoint(first, step: 1, version: 1, Array(repeating: 1, count: 901), as: &worker)
        #expect(kept(0) == nil)
        bench.checkpoint(first, step: 1, version: 1, Array(repeating: 1, count: 600), as: &worker)
        bench.checkpoint(second, step: 1, version: 1, Array(repeating: 1, count: 300), as: &worker)
        bench.checkpoint(second, step: 2, version: 1, Array(repeating: 1, count: 500), as: &worker)
        #expect(kept(0) == 600 && kept(1) == 300)
        // One that is replaced makes room.
        bench.checkpoint(first, step: 2, version: 1, Array(repeating: 1, count: 700), as: &worker)
        #expect(kept(0) == 700 && kept(1) == 300)
        #expect(bench.core.snapshot.counters.checkpointsRefused == 2)
        #expect(bench.core.checkpoints.bytes == 1_000)
        bench.finish(first, as: &worker)
        bench.cancel(identifier(2), as: &client)
        #expect(bench.core.checkpoints.bytes == 0 && bench.core.checkpoints.versions.isEmpty)
    }

    @Test("what crashes a worker that runs it alone loses its checkpoint")
    func poisonousCheckpoint() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        bench.checkpoint(bench.leased[0].job, step: 5, version: 1, [5], as: &worker)
        bench.wait(20 * .second)
        var second = bench.worker(2)
        #expect(bench.leased.first?.alone == true && bench.leased.first?.hasCheckpoint == true)
        bench.beat(1, as: &second)
        bench.wait(20 * .second)
        _ = bench.worker(3)
        #expect(bench.leased.first?.alone == true && bench.leased.first?.hasCheckpoint == false)
    }

    @Test("a trainer is told which versions leases and checkpoints need")
    func versionsInUse() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        bench.submit(2, as: &client)
        var denoiser = bench.worker(1, roles: [.denoise])
        let (first, second) = (bench.leased[0].job, bench.leased[1].job)
        var trainer = bench.worker(2, roles: [.train])
        func told() -> [UInt64]? {
            bench.beat(1, as: &trainer)
            guard case .pong(let pong) = bench.sent.first?.body else { return nil }
            return pong.versionInUse
        }
        #expect(told() == [])
        bench.checkpoint(first, step: 5, version: 3, [5], as: &denoiser)
        #expect(told() == [3])
        var heartbeat = WireHeartbeat()
        heartbeat.versionInUse = [3, 5]
        bench.say(.heartbeat(heartbeat), as: &denoiser)
        guard case .pong(let pong) = bench.sent.first?.body else {
            Issue.record("no PONG")
            return
        }
        #expect(pong.versionInUse.isEmpty, "a denoiser needs no telling")
        #expect(told() == [3, 5])
        // The worker goes; what it left is still needed.
        bench.nack(first, .draining, as: &denoiser)
        bench.nack(second, .draining, as: &denoiser)
        #expect(told() == [3])
        bench.cancel(identifier(1), as: &client)
        #expect(told() == [])
    }

    @Test func previewsReachTheClientUnderTheNewestFenceOnly() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        func preview(_ attempt: UInt32, _ bytes: Int = 1, _ status: WireResultStatus = .preview) -> [[UInt8]] {
            let fence = Fence(broker: Fixture.broker, bootEpoch: 1, attempt: attempt)
            let header = ResultHeader(
                client: identifier(1), job: identifier(1), envelopeHash: identifier(0), fence: fence, status: status,
                worker: identifier(1))
            return [header.bytes, Array(repeating: 8, count: bytes)]
        }
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt + 1), as: &worker)
        #expect(bench.sent.isEmpty)
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt), as: &worker)
        #expect(bench.sent.first?.to == client.connection)
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt, 1, .done), as: &worker)
        #expect(bench.sent.isEmpty, "a result is no preview")
        // Two seconds' worth at once is let through, and then nothing for two seconds.
        let second = bench.core.configuration.previewBytesPerSecond
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt, 2 * second), as: &worker)
        #expect(bench.sent.count == 1)
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt), as: &worker)
        #expect(bench.sent.isEmpty)
        bench.wait(2 * .second)
        bench.say(.ping(WirePing()), as: &client)
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt), as: &worker)
        #expect(bench.sent.count == 1)
        // Nor is a preview a result, and it puts no lease off.
        var result = WireWorkerResult()
        result.job = ref
        bench.say(.workerResult(result), preview(ref.fence.attempt), as: &worker)
        #expect(bench.stored.first?.stale == true && !bench.has("finished"))
        for _ in 1...9 {
            bench.wait(2 * .second)
            bench.say(.preview(WirePreview()), preview(ref.fence.attempt), as: &worker)
            bench.beat(0, as: &worker)
        }
        #expect(bench.core.snapshot.counters.leasesLost == 1)
    }

    @Test func cancelReachesTheWorkerAndFreesTheSlot() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        bench.submit(2, as: &client)
        _ = bench.worker(1, slots: 1)
        let ref = bench.leased[0].job
        bench.cancel(identifier(1), as: &client)
        #expect(bench.cancelled.first?.job == ref)
        #expect(bench.cancelled.first?.code == .cancelled)
        #expect(bench.ended == [.cancelled])
        #expect(bench.leased.count == 1)
    }

    @Test func anExpiredJobEndsWhereverItIs() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, lifetime: 3_000, as: &client)
        _ = bench.worker(1)
        bench.submit(2, kind: .publish, lifetime: 3_000, as: &client)
        bench.wait(4 * .second)
        #expect(bench.ended == [.expired, .expired])
        #expect(bench.cancelled.count == 2)
        #expect(bench.core.snapshot.jobs == 0)
    }

    /// A disk that is full holds JOBs back for longer than any lease.
    @Test func aLeaseBeginsWhenItsJobLeaves() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        bench.nack(bench.leased[0].job, .busy, as: &worker)
        bench.holdsJobs = true
        bench.wait(2 * .second)
        let job = bench.sent.first { if case .job = $0.body { true } else { false } }!
        for second in 1...60 {
            bench.beat(0, as: &worker)
            bench.wait(1 * .second)
            #expect(bench.leased.isEmpty && bench.cancelled.isEmpty, "after \(second) s")
        }
        bench.leave(job.frames, job.to)
        for _ in 1...14 {
            bench.beat(0, as: &worker)
            bench.wait(1 * .second)
        }
        #expect(bench.core.snapshot.counters.leasesLost == 0)
        bench.beat(0, as: &worker)
        bench.wait(2 * .second)
        #expect(bench.core.snapshot.counters.leasesLost == 1 && bench.core.jobReports().first?.isSuspect == true)
    }

    /// A worker that comes back without a job that it never got is not to blame, nor is the job.
    @Test func aJobThatNeverLeftIsNotSuspected() {
        var bench = BrokerBench()
        bench.holdsJobs = true
        var client = bench.client(1)
        bench.submit(1, as: &client)
        _ = bench.worker(1)
        _ = bench.worker(1)
        #expect(bench.core.jobReports().first?.isSuspect == false && bench.core.jobReports().first?.state == .delayed)
    }
}

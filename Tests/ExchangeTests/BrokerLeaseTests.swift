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
            if round.isMultiple(of: 2) { bench.nack(ref, .internal, as: &worker) }
            bench.say(.bye(WireBye()), as: &worker)
        }
        #expect(bench.core.snapshot.counters.deadLetters == 0)
        #expect(bench.core.jobs[bench.core.jobs.handles[0]]?.suspect == false)
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

    @Test func checkpointsAreHandedOn() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        var checkpoint = WireCheckpoint()
        checkpoint.job = ref
        checkpoint.step = 7
        bench.say(.checkpoint(checkpoint), [[4, 5, 6]], as: &worker)
        bench.say(.bye(WireBye()), as: &worker)
        _ = bench.worker(2)
        bench.wait(1 * .second)
        let job = bench.sent.first { if case .job = $0.body { true } else { false } }
        #expect(job?.frames.attachments.count == 3)
        #expect(job?.frames.attachments.last == [4, 5, 6])
    }

    @Test func previewsReachTheClientUnderTheNewestFenceOnly() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        func preview(_ attempt: UInt32) -> [[UInt8]] {
            let fence = Fence(broker: Fixture.broker, bootEpoch: 1, attempt: attempt)
            let header = ResultHeader(
                client: identifier(1), job: identifier(1), envelopeHash: identifier(0), fence: fence, status: .done,
                worker: identifier(1))
            return [header.bytes, [8]]
        }
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt + 1), as: &worker)
        #expect(bench.sent.isEmpty)
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt), as: &worker)
        #expect(bench.sent.first?.to == client.connection)
        bench.say(.preview(WirePreview()), preview(ref.fence.attempt), as: &worker)
        #expect(bench.sent.isEmpty)
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
}

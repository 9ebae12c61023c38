import Foundation
import Testing
import Wire

@testable import Exchange

@Suite struct BrokerSubmitTests {
    static let one: ClientID = identifier(1)

    @Test func acceptedIsStoredBeforeItIsSaid() {
        var bench = BrokerBench()
        var client = bench.client(1)
        var frames = Frames(
            .submit(WireSubmit()), [Fixture.envelope(client: Self.one, job: identifier(5)).bytes, [1]])
        client.sent += 1
        frames.control.sequence = client.sent
        let actions = bench.core.receive(frames, from: client.connection, as: client.principal, at: bench.moment)
        guard actions.count == 2, case .append(.accepted) = actions[0], case .send(let answer, _) = actions[1],
            case .accepted = answer.control.body
        else {
            Issue.record("not append, then send")
            return
        }
    }

    @Test func theSameBytesAreAcceptedAgainAndOtherBytesConflict() {
        var bench = BrokerBench()
        var client = bench.client(1)
        let envelope = Fixture.envelope(client: Self.one, job: identifier(5))
        bench.submit(envelope, [1], as: &client)
        bench.submit(envelope, [1], as: &client)
        #expect(bench.has(isAccepted))
        #expect(bench.journal.count == 1)
        bench.submit(envelope, [2], as: &client)
        #expect(bench.has(isConflict))
        bench.submit(Fixture.envelope(client: Self.one, job: identifier(5), cost: 1), [1], as: &client)
        #expect(bench.has(isConflict))
        #expect(bench.journal.count == 1)
    }

    @Test func twoClientsMayUseTheSameJobID() {
        var bench = BrokerBench()
        var (one, two) = (bench.client(1), bench.client(2))
        bench.submit(5, as: &one)
        bench.submit(5, as: &two)
        #expect(bench.has(isAccepted))
        #expect(bench.core.snapshot.jobs == 2)
    }

    static let refusals: [(WireCode, ClientRights, Envelope, Int)] = [
        (.unauthorized, ClientRights(), Fixture.envelope(client: identifier(2), job: identifier(5)), 3),
        (.unauthorized, ClientRights(denoise: false), Fixture.envelope(client: one, job: identifier(5)), 3),
        (
            .unauthorized, ClientRights(publish: false),
            Fixture.envelope(client: one, job: identifier(5), kind: .publish), 3
        ),
        (.unknownRun, ClientRights(), Fixture.envelope(client: one, job: identifier(5), run: identifier(8)), 3),
        (.unknownPoolKey, ClientRights(), Fixture.envelope(client: one, job: identifier(5), poolKey: identifier(9)), 3),
        (
            .unknownPoolKey, ClientRights(),
            Fixture.envelope(client: one, job: identifier(5), poolKey: Fixture.trainKey), 3
        ),
        (.expired, ClientRights(), Fixture.envelope(client: one, job: identifier(5), expires: Fixture.wall), 3),
        (.badMessage, ClientRights(), Fixture.envelope(client: one, job: identifier(5), expires: .max), 3),
        (.tooLarge, ClientRights(), Fixture.envelope(client: one, job: identifier(5)), 9 << 20),
    ]

    @Test(arguments: refusals.indices) func aBadSubmissionIsRejectedWithItsCode(place: Int) {
        let (code, rights, envelope, bytes) = Self.refusals[place]
        var bench = BrokerBench()
        var client = bench.client(1, rights)
        bench.submit(envelope, [UInt8](repeating: 0, count: bytes), as: &client)
        #expect(bench.rejection?.code == code)
        #expect(bench.rejection?.retryAfterMs == 0)
        #expect(bench.rejection?.message.isEmpty == false)
        #expect(bench.journal.isEmpty)
    }

    @Test func anUnreadableEnvelopeIsRejectedAndTheSessionGoesOn() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.say(.submit(WireSubmit()), [[0xFF, 0xFF], [1]], as: &client)
        #expect(bench.rejection?.code == .badMessage)
        bench.submit(1, as: &client)
        #expect(bench.has(isAccepted))
    }

    @Test func limitsOfOneClientDoNotTouchTheOther() {
        var configuration = Fixture.configuration
        configuration.limits.jobsPerClient = 2
        var bench = BrokerBench(configuration)
        var (greedy, modest) = (bench.client(1), bench.client(2))
        for number in 1...3 { bench.submit(number, as: &greedy) }
        #expect(bench.rejection?.code == .tooManyJobs)
        #expect((1000...1500).contains(bench.rejection?.retryAfterMs ?? 0))
        bench.submit(1, as: &modest)
        #expect(bench.has(isAccepted))
        // Room again once a job is over.
        bench.cancel(identifier(1), as: &greedy)
        bench.submit(3, as: &greedy)
        #expect(bench.has(isAccepted))
    }

    @Test func theRostersQuotaGoesBeforeTheDefault() {
        var bench = BrokerBench()
        var small = bench.client(1, ClientRights(jobs: 1))
        guard case .welcome(let welcome) = bench.sent.first?.body else {
            Issue.record("no WELCOME")
            return
        }
        #expect(welcome.limits.jobsPerClient == 1)
        bench.submit(1, as: &small)
        bench.submit(2, as: &small)
        #expect(bench.rejection?.code == .tooManyJobs)
    }

    @Test func bytesAreLimitedPerClientAndInAll() {
        var configuration = Fixture.configuration
        configuration.limits.bytesPerClient = 3000
        configuration.limits.bytes = 6000
        var bench = BrokerBench(configuration)
        var (one, two) = (bench.client(1), bench.client(2))
        let payload = [UInt8](repeating: 0, count: 2000)
        bench.submit(Fixture.envelope(client: identifier(1), job: identifier(1)), payload, as: &one)
        bench.submit(Fixture.envelope(client: identifier(1), job: identifier(2)), payload, as: &one)
        #expect(bench.rejection?.code == .tooManyBytes)
        bench.submit(Fixture.envelope(client: identifier(2), job: identifier(1)), payload, as: &two)
        #expect(bench.rejection == nil && bench.has(isAccepted))
        var three = bench.client(3)
        bench.submit(Fixture.envelope(client: identifier(3), job: identifier(1)), payload, as: &three)
        #expect(bench.rejection?.code == .brokerFull)
    }

    @Test func aTombstoneAnswersUntilTheJobExpiresAndIsThenForgotten() {
        var bench = BrokerBench()
        var client = bench.client(1)
        let envelope = bench.submit(5, lifetime: 5_000, as: &client)
        bench.cancel(envelope.job, as: &client)
        #expect(bench.ended == [.cancelled])
        bench.submit(envelope, as: &client)
        #expect(bench.ended == [.cancelled])
        bench.submit(Fixture.envelope(client: Self.one, job: envelope.job, cost: 5), as: &client)
        #expect(bench.has(isConflict))
        #expect(bench.core.snapshot.tombstones == 1)
        bench.wait(11 * 60 * .second)
        #expect(bench.core.snapshot.tombstones == 0)
        #expect(bench.has("forgotten"))
    }

    @Test func aJobThatExpiredComesAgainAsItsNextGeneration() {
        var bench = BrokerBench()
        var client = bench.client(1)
        let first = bench.submit(5, lifetime: 5_000, as: &client)
        bench.wait(6 * .second)
        #expect(bench.ended == [.expired])
        func envelope(_ generation: UInt32, cost: UInt64 = 0) -> Envelope {
            Fixture.envelope(
                client: Self.one, job: first.job, generation: generation, cost: cost, expires: Fixture.wall + 3_600_000)
        }
        bench.submit(envelope(0, cost: 1), as: &client)
        #expect(bench.has(isConflict))
        bench.submit(envelope(1), as: &client)
        #expect(bench.has(isAccepted))
        #expect(bench.state(of: first.job, as: &client) == .queued)
        // It may have been sealed anew at another broker.
        bench.submit(envelope(2), as: &client)
        #expect(bench.has(isAccepted))
        bench.submit(envelope(1), as: &client)
        #expect(bench.has(isConflict))

        var second = BrokerBench(epoch: 2, recovered: bench.journal)
        var returned = second.client(1)
        #expect(second.state(of: first.job, as: &returned) == .queued)
        #expect(second.core.snapshot.jobs == 1 && second.core.snapshot.tombstones == 0)

        // A tombstone of its own: the one before it would have been forgotten after eleven minutes.
        bench.cancel(first.job, as: &client)
        bench.wait(11 * 60 * .second)
        client = bench.client(1)
        #expect(bench.state(of: first.job, as: &client) == .cancelled)
        bench.submit(envelope(3), as: &client)
        #expect(bench.has(isConflict))
    }

    @Test func whatIsUnderWayMakesWayForALaterGeneration() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(5, as: &client)
        var worker = bench.worker(1)
        let first = bench.leased[0].job
        let next = Fixture.envelope(
            client: Self.one, job: identifier(5), generation: 1, expires: Fixture.wall + 3_600_000)
        bench.submit(next, as: &client)
        #expect(bench.has(isAccepted) && bench.cancelled.map(\.job) == [first])
        let second = bench.leased[0].job
        #expect(second.fence.attempt > first.fence.attempt)
        bench.finish(first, as: &worker)
        #expect(bench.stored.first?.stale == true)
        bench.finish(second, as: &worker)
        #expect(bench.stored.first?.stale == false)
    }

    @Test func whatIsRefusedTakesNobodysPlace() {
        var configuration = Fixture.configuration
        configuration.limits.jobsPerClient = 1
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        bench.submit(5, as: &client)
        func next(_ generation: UInt32, run: RunID = Fixture.run) -> Envelope {
            Fixture.envelope(
                client: Self.one, job: identifier(5), generation: generation, expires: Fixture.wall + 3_600_000,
                run: run)
        }
        bench.submit(next(1, run: identifier(8)), as: &client)
        #expect(bench.rejection?.code == .unknownRun)
        #expect(bench.state(of: identifier(5), as: &client) == .queued)
        // The room that the earlier one takes is its own.
        bench.submit(next(1), as: &client)
        #expect(bench.has(isAccepted) && bench.core.snapshot.jobs == 1)
    }

    @Test func aResultThatTheClientDoesNotAcceptMakesWay() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(5, as: &client)
        var worker = bench.worker(1)
        let first = bench.leased[0].job
        let next = Fixture.envelope(
            client: Self.one, job: identifier(5), generation: 1, expires: Fixture.wall + 3_600_000)
        bench.finish(first, as: &worker)
        #expect(bench.results == [identifier(5)])

        bench.submit(next, as: &client)
        #expect(bench.has(isAccepted) && bench.ended.isEmpty)
        #expect(bench.core.snapshot.jobs == 1)
        let second = bench.leased[0].job
        #expect(second.fence.attempt > first.fence.attempt)
        // The worker says the first result again: it is of another generation.
        bench.finish(first, as: &worker)
        #expect(bench.stored.first?.stale == true && bench.results.isEmpty)
        bench.finish(second, as: &worker)
        #expect(bench.results == [identifier(5)])

        var recovered = BrokerBench(epoch: 2, recovered: bench.journal)
        var returned = recovered.client(1)
        #expect(recovered.results == [identifier(5)])
        recovered.acknowledge(identifier(5), as: &returned)
        #expect(recovered.has(isAckStored) && recovered.core.snapshot.bytes == 0)
        // Acknowledged is acknowledged.
        let third = Fixture.envelope(
            client: Self.one, job: identifier(5), generation: 2, expires: Fixture.wall + 3_600_000)
        recovered.submit(third, as: &returned)
        #expect(recovered.has(isConflict))
    }

    /// The window has room again for the result behind it.
    @Test func whatMakesWayMakesRoom() {
        var configuration = Fixture.configuration
        configuration.resultWindow = 1
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        for number in 1...2 { bench.submit(number, as: &client) }
        var worker = bench.worker(1)
        for job in bench.leased { bench.finish(job.job, as: &worker) }
        #expect(bench.results.isEmpty)
        let next = Fixture.envelope(
            client: Self.one, job: identifier(1), generation: 1, expires: Fixture.wall + 3_600_000)
        bench.submit(next, as: &client)
        #expect(bench.results == [identifier(2)])
    }

    @Test func jobsThatWereCancelledLeaveNothingInTheQueue() {
        var configuration = Fixture.configuration
        configuration.limits.remembered = 100_000
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        for number in 0..<2_000 {
            bench.submit(number, as: &client)
            bench.cancel(identifier(number), as: &client)
        }
        #expect(bench.core.snapshot.jobs == 0 && bench.core.snapshot.bytes == 0)
        #expect("\(bench.core.lanes)".count < 10_000)
    }

    @Test func statusNamesEveryState() {
        var bench = BrokerBench()
        var client = bench.client(1)
        let id: JobID = identifier(5)
        #expect(bench.state(of: id, as: &client) == .unspecified)
        bench.submit(5, as: &client)
        #expect(bench.state(of: id, as: &client) == .queued)
        var worker = bench.worker(1)
        let ref = bench.leased[0].job
        #expect(bench.state(of: id, as: &client) == .leased)
        bench.finish(ref, as: &worker)
        #expect(bench.state(of: id, as: &client) == .inMailbox)
        bench.acknowledge(id, as: &client)
        #expect(bench.state(of: id, as: &client) == .acknowledged)
    }

    @Test func aDrainingBrokerTakesNothingNew() {
        var bench = BrokerBench()
        var client = bench.client(1)
        bench.submit(1, as: &client)
        bench.take(bench.core.drain(at: bench.moment))
        bench.submit(2, as: &client)
        #expect(bench.rejection?.code == .draining)
        #expect((bench.rejection?.retryAfterMs ?? 0) > 0)
    }
}

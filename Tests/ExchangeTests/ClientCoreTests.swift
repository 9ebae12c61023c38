import Foundation
import Testing
import Wire

@testable import Exchange

@Suite struct ClientCoreTests {
    static let id: ClientID = identifier(1)

    private func bench() -> LinkBench<ClientCore> {
        LinkBench(ClientCore(client: Self.id, random: SplitMix64(seed: 9)))
    }

    private func envelope(_ number: Int) -> Envelope { Fixture.envelope(client: Self.id, job: identifier(number)) }

    private func accepted(_ number: Int, generation: UInt32 = 0) -> WireControl.OneOf_Body {
        var accepted = WireAccepted()
        accepted.generation = generation
        accepted.jobID = Data(identifier(number, as: JobID.self).bytes)
        return .accepted(accepted)
    }

    private func result(_ number: Int, _ bench: inout LinkBench<ClientCore>, client: ClientID = id) {
        let key = JobKey(client: client, job: identifier(number))
        let fence = Fence(broker: Fixture.broker, bootEpoch: 1, attempt: 1)
        let (header, sealed) = Fixture.result(of: key, fence, worker: identifier(1))
        var result = WireResult()
        result.jobID = Data(key.job.bytes)
        bench.say(.result(result), [header, sealed])
    }

    private func ackStored(_ number: Int, _ bench: inout LinkBench<ClientCore>) {
        var stored = WireAckStored()
        stored.jobID = Data(identifier(number, as: JobID.self).bytes)
        bench.say(.ackStored(stored))
    }

    @Test func messagesAreNumberedFromOneInEverySession() {
        var bench = bench()
        for _ in 1...2 {
            bench.welcome()
            bench.command(.queryStatus([]))
            #expect(bench.sent.first?.control.sequence == 3)  // two HELLOs before
        }
    }

    @Test func whatIsSubmittedWithoutASessionGoesOutWithTheNext() {
        var bench = bench()
        bench.command(.submit(envelope(1), sealed: [1]))
        #expect(bench.sent.isEmpty)
        bench.welcome()
        #expect(bench.kinds == ["submit"])
        #expect(bench.sent.first?.attachments == [envelope(1).bytes, [1]])
    }

    @Test func creditBoundsWhatIsUnanswered() {
        var bench = bench()
        bench.welcome(credit: 2)
        for number in 1...5 { bench.command(.submit(envelope(number), sealed: [1])) }
        #expect(bench.sent.isEmpty)
        bench.say(accepted(1))
        #expect(bench.kinds == ["submit"])
        bench.say(accepted(2))
        bench.say(accepted(3))
        #expect(bench.kinds == ["submit"])
        bench.say(accepted(4))
        #expect(bench.sent.isEmpty)
    }

    @Test func aResultIsHandedOverOnceAndAcknowledgedUntilStored() {
        var bench = bench()
        bench.welcome()
        bench.command(.submit(envelope(1), sealed: [1]))
        bench.say(accepted(1))
        result(1, &bench)
        guard case .result(let job, _, let sealed) = bench.events.first else {
            Issue.record("no result")
            return
        }
        #expect(job == identifier(1))
        #expect(sealed == Fixture.answer(to: JobKey(client: Self.id, job: job)))
        result(1, &bench)
        #expect(bench.events.isEmpty)
        bench.command(.acknowledge(job))
        #expect(bench.kinds == ["resultAck"])
        // The session breaks before the answer: said again, and what the broker repeats is not handed over again.
        bench.welcome()
        #expect(bench.kinds == ["resultAck"])
        result(1, &bench)
        #expect(bench.events.isEmpty)
        ackStored(1, &bench)
        guard case .ackStored = bench.events.first else {
            Issue.record("not told")
            return
        }
        bench.welcome()
        #expect(bench.sent.isEmpty)
    }

    @Test func aRefusedResultMakesWayForTheNextGeneration() {
        var bench = bench()
        bench.welcome(credit: 1)
        let job = envelope(1).job
        let next = Fixture.envelope(client: Self.id, job: job, generation: 1)
        bench.command(.submit(envelope(1), sealed: [1]))
        // Before it has come there is nothing to refuse.
        bench.command(.refuse(job))
        bench.say(accepted(1))
        result(1, &bench)
        #expect(bench.events.count == 1)
        // Until it is known what becomes of the result, nothing is submitted.
        bench.command(.submit(next, sealed: [2]))
        #expect(bench.sent.isEmpty && bench.events.isEmpty)
        bench.command(.refuse(job))
        #expect(bench.sent.isEmpty && bench.events.isEmpty)
        bench.command(.submit(next, sealed: [2]))
        #expect(bench.sent.map(\.attachments) == [[next.bytes, [2]]])
        bench.say(accepted(1, generation: 1))
        result(1, &bench)
        #expect(bench.events.count == 1)
        // What is acknowledged cannot be refused any more.
        bench.command(.acknowledge(job))
        bench.command(.refuse(job))
        bench.welcome()
        #expect(bench.kinds == ["resultAck"])
    }

    /// A result may leave a broker before the ACCEPTED of its job, which the disk holds up.
    @Test func anAcceptedOfARefusedGenerationAnswersNothing() {
        var bench = bench()
        bench.welcome(credit: 1)
        let job = envelope(1).job
        let next = Fixture.envelope(client: Self.id, job: job, generation: 1)
        bench.command(.submit(envelope(1), sealed: [1]))
        result(1, &bench)
        bench.command(.refuse(job))
        bench.command(.submit(next, sealed: [2]))
        #expect(bench.kinds == ["submit"])
        bench.say(accepted(1))
        #expect(bench.events.isEmpty)
        var rejected = WireRejected()
        rejected.jobID = Data(job.bytes)
        rejected.code = .storage
        rejected.retryAfterMs = 1_000
        bench.say(.rejected(rejected))
        bench.wait(2 * .second)
        #expect(bench.sent.filter { if case .submit = $0.control.body { true } else { false } }.count == 1)
        bench.say(accepted(1, generation: 1))
        #expect(bench.events.count == 1)
    }

    @Test func whatIsStoredIsToldThoughTheResultCameFirst() {
        var bench = bench()
        bench.welcome()
        bench.command(.submit(envelope(1), sealed: [1]))
        result(1, &bench)
        bench.say(accepted(1))
        guard case .accepted(let job)? = bench.events.first else {
            Issue.record("not told")
            return
        }
        // It has its result all the same.
        bench.command(.acknowledge(job))
        #expect(bench.kinds == ["resultAck"])
        bench.say(accepted(1))
        #expect(bench.events.count == 1)
    }

    @Test func aPreviewThatComesAfterTheResultIsNotShown() {
        var bench = bench()
        bench.welcome()
        bench.command(.submit(envelope(1), sealed: [1]))
        result(1, &bench)
        let header = ResultHeader(
            client: Self.id, job: identifier(1), envelopeHash: identifier(0),
            fence: Fence(broker: Fixture.broker, bootEpoch: 1, attempt: 1), status: .preview, worker: identifier(1))
        bench.say(.preview(WirePreview()), [header.bytes, [1]])
        #expect(bench.events.isEmpty)
    }

    @Test func aRefusedStrayLeavesNothing() {
        var bench = bench()
        bench.welcome()
        for _ in 0..<3 {
            result(9, &bench)
            #expect(bench.events.count == 1)
            bench.command(.refuse(identifier(9)))
            #expect(bench.sent.isEmpty)
        }
        bench.welcome()
        #expect(bench.sent.isEmpty && bench.events.count == 1)  // WELCOME
    }

    @Test func afterAReconnectionOnlyWhatTheBrokerLacksIsSentAgain() {
        var bench = bench()
        bench.welcome()
        for number in 1...3 { bench.command(.submit(envelope(number), sealed: [1])) }
        bench.say(accepted(1))
        bench.say(accepted(2))
        bench.welcome()
        #expect(bench.kinds == ["statusQuery", "submit"])  // 3 has no answer, so it goes again
        #expect(bench.sent.last?.attachments.first == envelope(3).bytes)
        var status = WireStatus()
        status.job = [1, 2].map { number in
            var line = WireJobStatus()
            line.jobID = Data(identifier(number, as: JobID.self).bytes)
            line.state = number == 1 ? .leased : .unspecified
            return line
        }
        bench.say(.status(status))
        #expect(bench.events.isEmpty)
        #expect(bench.kinds == ["submit"])
        #expect(bench.sent.last?.attachments.first == envelope(2).bytes)
    }

    @Test func aProgramsOwnQueryIsAnsweredToIt() {
        var bench = bench()
        bench.welcome()
        bench.command(.queryStatus([]))
        bench.say(.status(WireStatus()))
        guard case .status = bench.events.first else {
            Issue.record("not told")
            return
        }
    }

    @Test func aRejectionWithATimeIsTriedAgainAndOneWithoutIsFinal() {
        var bench = bench()
        bench.welcome()
        bench.command(.submit(envelope(1), sealed: [1]))
        var rejected = WireRejected()
        rejected.jobID = Data(envelope(1).job.bytes)
        rejected.code = .tooManyJobs
        rejected.retryAfterMs = 500
        bench.say(.rejected(rejected))
        guard case .rejected(_, .tooManyJobs, _, retryAfter: 500_000_000) = bench.events.first else {
            Issue.record("not told of the pause")
            return
        }
        bench.wait(400 * .millisecond)
        #expect(!bench.kinds.contains("submit"))
        bench.wait(200 * .millisecond)
        #expect(bench.kinds.contains("submit"))
        rejected.retryAfterMs = 0
        bench.say(.rejected(rejected))
        guard case .rejected(_, _, _, retryAfter: nil) = bench.events.first else {
            Issue.record("not told that it is over")
            return
        }
        bench.welcome()
        #expect(bench.sent.isEmpty)
    }

    @Test func cancelIsRepeatedUntilItIsAnswered() {
        var bench = bench()
        bench.welcome()
        bench.command(.submit(envelope(1), sealed: [1]))
        bench.command(.cancel(envelope(1).job))
        #expect(bench.kinds == ["cancel"])
        bench.welcome()
        #expect(bench.kinds == ["cancel"])
        var ended = WireEnded()
        ended.jobID = Data(envelope(1).job.bytes)
        ended.code = .cancelled
        bench.say(.ended(ended))
        #expect(bench.events.count == 1)
        bench.welcome()
        #expect(bench.sent.isEmpty)
    }

    @Test func cancellingWhatWasNotSentSendsNoPayload() {
        var bench = bench()
        bench.command(.submit(envelope(1), sealed: [1]))
        bench.command(.cancel(envelope(1).job))
        bench.welcome()
        #expect(bench.kinds == ["cancel"])
    }

    @Test func anUnexpectedResultIsHandedOverAndAnothersIsNot() {
        var bench = bench()
        bench.welcome()
        result(9, &bench)
        #expect(bench.events.count == 1)
        result(8, &bench, client: identifier(2))
        #expect(bench.events.isEmpty)
    }

    @Test func aSilentBrokerIsLostAndTriedAgainLessAndLessOften() {
        var bench = bench()
        bench.welcome()
        bench.wait(3 * .second)
        #expect(bench.kinds == ["ping", "ping", "ping"])
        #expect(bench.events.isEmpty)
        bench.wait(1_100 * .millisecond)
        guard case .lost(let loss) = bench.events.first else {
            Issue.record("not lost")
            return
        }
        #expect(loss.reason.contains("nothing was heard"))
        #expect(loss.retryIn <= 200 * .millisecond)
        bench.wait(200 * .millisecond)
        #expect(bench.reconnects == 1)
        var waits: [Int64] = []
        for _ in 0..<10 {
            bench.open()
            bench.wait(5 * .second)
            guard case .lost(let loss) = bench.events.first else { break }
            #expect(loss.reason.contains("does not answer"))
            waits.append(loss.retryIn)
            bench.wait(loss.retryIn)
        }
        #expect(waits.count == 10)
        #expect(waits[0] <= 400 * .millisecond && waits[9] >= 7 * .second && waits[9] <= 15 * .second)
    }

    @Test func aGapOrABYEEndsTheSession() {
        var bench = bench()
        bench.welcome()
        bench.skip()
        bench.say(.pong(WirePong()))
        guard case .lost = bench.events.first else {
            Issue.record("a gap went unseen")
            return
        }
        bench.welcome()
        var bye = WireBye()
        bye.reason = "going down"
        bench.say(.bye(bye))
        guard case .lost(let loss) = bench.events.first else {
            Issue.record("BYE went unseen")
            return
        }
        #expect(loss.reason.contains("going down"))
        bench.say(.pong(WirePong()))
        #expect(bench.events.isEmpty && bench.sent.isEmpty)
    }

    @Test func pingIsAnswered() {
        var bench = bench()
        bench.welcome()
        bench.say(.ping(WirePing()))
        #expect(bench.kinds == ["pong"])
    }

    @Test func closeSaysGoodbyeAndNothingMore() {
        var bench = bench()
        bench.welcome()
        bench.command(.close)
        #expect(bench.kinds == ["bye"])
        #expect(bench.closed)
        #expect(bench.machine.nextDeadline == nil)
    }
}

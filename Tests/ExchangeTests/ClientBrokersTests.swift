import Foundation
import Testing
import Wire

@testable import Exchange

/// A client that knows several brokers, which share nothing.
@Suite struct ClientBrokersTests {
    private static let client: ClientID = identifier(1)
    private static let first: BrokerID = identifier(51), second: BrokerID = identifier(52)

    private func bench(alternatives: Int = 1) -> LinkBench<ClientCore> {
        var configuration = LinkConfiguration()
        configuration.alternatives = alternatives
        return LinkBench(ClientCore(client: Self.client, configuration: configuration, random: SplitMix64(seed: 9)))
    }

    private func envelope(_ number: Int) -> Envelope { Fixture.envelope(client: Self.client, job: identifier(number)) }
    private func id(_ number: Int) -> Data { Data(identifier(number, as: JobID.self).bytes) }

    private func accept(_ number: Int, _ bench: inout LinkBench<ClientCore>) {
        var accepted = WireAccepted()
        accepted.jobID = id(number)
        bench.say(.accepted(accepted))
    }

    private func result(_ number: Int, _ bench: inout LinkBench<ClientCore>) {
        let key = JobKey(client: Self.client, job: identifier(number))
        let fence = Fence(broker: Self.first, bootEpoch: 1, attempt: 1)
        let (header, sealed) = Fixture.result(of: key, fence, worker: identifier(1))
        var result = WireResult()
        result.jobID = id(number)
        bench.say(.result(result), [header, sealed])
    }

    private func ackStored(_ number: Int, _ bench: inout LinkBench<ClientCore>) {
        var stored = WireAckStored()
        stored.jobID = id(number)
        bench.say(.ackStored(stored))
    }

    private func unknown(_ numbers: [Int], _ bench: inout LinkBench<ClientCore>) {
        var status = WireStatus()
        status.job = numbers.map { number in
            var line = WireJobStatus()
            line.jobID = id(number)
            return line
        }
        bench.say(.status(status))
    }

    /// Jobs 1 and 2 were accepted by the first broker; the session is with the second now, which takes them anew.
    private func moved() -> LinkBench<ClientCore> {
        var bench = bench()
        bench.welcome(by: Self.first)
        for number in 1...2 {
            bench.command(.submit(envelope(number), sealed: [1]))
            accept(number, &bench)
        }
        bench.welcome(by: Self.second)
        #expect(bench.kinds == ["statusQuery"])
        unknown([1, 2], &bench)
        #expect(bench.kinds == ["submit", "submit"])
        for number in 1...2 { accept(number, &bench) }
        return bench
    }

    @Test func aCopyThatIsLeftBehindIsSettled() {
        var bench = moved()
        result(1, &bench)
        bench.command(.acknowledge(identifier(1)))
        ackStored(1, &bench)
        bench.command(.cancel(identifier(2)))
        var ended = WireEnded()
        ended.jobID = id(2)
        ended.code = .cancelled
        bench.say(.ended(ended))
        // The first broker is back: it hands out its result before it hears of anything.
        bench.welcome(by: Self.first)
        #expect(bench.kinds == ["resultAck", "cancel"])
        result(1, &bench)
        #expect(bench.events.isEmpty && bench.sent.isEmpty)
        ackStored(1, &bench)
        bench.say(.ended(ended))
        #expect(bench.events.isEmpty)
        // Once is enough.
        bench.welcome(by: Self.first)
        #expect(bench.sent.isEmpty)
    }

    @Test func anAcknowledgementThatWasLostIsOwedToo() {
        var bench = moved()
        result(1, &bench)
        bench.command(.acknowledge(identifier(1)))
        // The second broker went before it answered; the first ends its copy.
        bench.welcome(by: Self.first)
        #expect(bench.kinds.contains("resultAck"))
        ackStored(1, &bench)
        bench.welcome(by: Self.second)
        #expect(bench.kinds.contains("resultAck"))
    }

    @Test func anIdleClientVisitsWhomItOwes() {
        var bench = moved()
        for number in 1...2 {
            result(number, &bench)
            bench.command(.acknowledge(identifier(number)))
            if number == 1 { ackStored(number, &bench) }
        }
        var pings = 0
        // Not while anything is under way.
        for _ in 0..<30 {
            bench.wait(1 * .second)
            pings += bench.kinds.count { $0 == "ping" }
            bench.say(.pong(WirePong()))
        }
        #expect(bench.moves == 0 && pings > 20)
        ackStored(2, &bench)
        bench.wait(2 * .second)
        bench.say(.pong(WirePong()))
        bench.wait(3 * .second + 200 * .millisecond)
        #expect(bench.moves == 1)
        bench.welcome(by: Self.first)
        #expect(bench.kinds == ["resultAck", "resultAck"])
        for number in 1...2 { ackStored(number, &bench) }
        for _ in 0..<30 {
            bench.wait(1 * .second)
            bench.say(.pong(WirePong()))
        }
        #expect(bench.moves == 1)
    }

    private func drain(_ number: Int, _ bench: inout LinkBench<ClientCore>) {
        var rejected = WireRejected()
        rejected.jobID = id(number)
        rejected.code = .draining
        rejected.retryAfterMs = 500
        bench.say(.rejected(rejected))
    }

    @Test func aDrainingBrokerIsLeftWhenNothingIsThereAnyMore() {
        var bench = bench()
        bench.welcome(by: Self.first)
        bench.command(.submit(envelope(1), sealed: [1]))
        accept(1, &bench)
        bench.command(.submit(envelope(2), sealed: [1]))
        drain(2, &bench)
        bench.command(.submit(envelope(3), sealed: [1]))
        #expect(bench.sent.isEmpty)
        result(1, &bench)
        bench.command(.acknowledge(identifier(1)))
        ackStored(1, &bench)
        #expect(bench.kinds == ["bye"])
        bench.wait(300 * .millisecond)
        #expect(bench.moves == 1)
        bench.welcome(by: Self.second)
        #expect(bench.kinds == ["submit", "submit"])
    }

    /// With nowhere to go it waits and tries again, as before.
    @Test func theOnlyBrokerIsNotLeft() {
        var bench = bench(alternatives: 0)
        bench.welcome(by: Self.first)
        bench.command(.submit(envelope(1), sealed: [1]))
        drain(1, &bench)
        #expect(bench.sent.isEmpty)
        bench.wait(600 * .millisecond)
        #expect(bench.kinds == ["submit"] && bench.moves == 0)
    }

    @Test func aBrokerThatDoesNotAnswerIsLeftAndOneThatDidIsTriedAgain() {
        var bench = bench()
        bench.welcome(by: Self.first)
        bench.wait(5 * .second)
        #expect(bench.reconnects == 1 && bench.moves == 0)
        bench.open()
        bench.wait(7 * .second)
        #expect(bench.reconnects == 2 && bench.moves == 1)
    }
}

import Foundation
import Testing
import Wire

@testable import Exchange

@Suite struct BrokerSessionTests {
    @Test func openingTellsLimitsAndKeys() {
        var bench = BrokerBench()
        _ = bench.client(1)
        guard case .welcome(let welcome) = bench.sent.first?.body else {
            Issue.record("no WELCOME")
            return
        }
        #expect(Array(welcome.keyBundle) == [1, 2, 3])
        #expect(welcome.heartbeatMs == 2000)
        #expect(welcome.limits.jobsPerClient == 1000)
        #expect(Array(welcome.brokerID) == Fixture.broker.bytes)
        #expect(bench.sent.first?.frames.control.sequence == 2)
    }

    /// Ten clients who may say ten times a second together that they are there: one each second, and no client once in more than
    /// three seconds. They are missed when four of their own heartbeats are over.
    @Test func manyClientsSaySeldomThatTheyAreThere() {
        var bench = BrokerBench()
        bench.core.configuration.heartbeat = 1 * .second
        bench.core.configuration.clientHeartbeatsPerSecond = 10
        bench.core.configuration.longestHeartbeat = 3 * .second
        var told: [UInt64] = []
        func heartbeat() -> UInt64? {
            if case .welcome(let welcome) = bench.sent.first?.body { welcome.heartbeatMs } else { nil }
        }
        for number in 1...40 {
            _ = bench.client(number)
            told.append(heartbeat() ?? 0)
        }
        #expect(told[0..<11].allSatisfy { $0 == 1000 } && told[20] == 2000 && told[30...].allSatisfy { $0 == 3000 })
        #expect(told == told.sorted())
        _ = bench.open(.worker(identifier(1), roles: [.denoise]))
        #expect(heartbeat() == 1000)
        bench.wait(4 * .second)
        #expect(bench.core.snapshot.sessions == 40 - 11)
        bench.wait(4 * .second)
        #expect(bench.core.snapshot.sessions == 40 - 21)
        bench.wait(4 * .second)
        #expect(bench.core.snapshot.sessions == 0)
    }

    @Test func aWrongNonceIsRefused() {
        var bench = BrokerBench()
        var peer = bench.peer(.client(identifier(1), ClientRights()))
        var hello = WireHello()
        hello.role = "client"
        bench.say(.hello(hello), as: &peer)
        hello.challenge = Data(repeating: 9, count: 16)
        bench.say(.hello(hello), as: &peer)
        #expect(bench.byes.count == 1)
        #expect(bench.dropped == [peer.connection])
    }

    @Test func nothingIsServedWithoutASession() {
        var bench = BrokerBench()
        var peer = bench.peer(.client(identifier(1), ClientRights()))
        bench.submit(1, as: &peer)
        #expect(bench.byes.count == 1)
        #expect(bench.journal.isEmpty)
    }

    @Test func anUnknownKeyIsRefusedFrameByFrame() {
        var bench = BrokerBench()
        var client = bench.client(1)
        var frames = Frames(.ping(WirePing()))
        frames.control.sequence = client.sent + 1
        bench.take(bench.core.receive(frames, from: client.connection, as: nil, at: bench.moment))
        #expect(bench.byes.count == 1)
        bench.say(.ping(WirePing()), as: &client)
        #expect(bench.byes.count == 1)
    }

    @Test func aSessionBelongsToItsKey() {
        var bench = BrokerBench()
        let client = bench.client(1)
        var thief = BrokerBench.Peer(
            connection: client.connection, principal: .client(identifier(2), ClientRights()), sent: client.sent)
        bench.submit(1, as: &thief)
        #expect(bench.byes.count == 1)
        #expect(bench.journal.isEmpty)
    }

    @Test func aClientCannotComeInByTheWorkersPort() {
        var bench = BrokerBench()
        var peer = BrokerBench.Peer(
            connection: ConnectionID(side: .worker, number: 77), principal: .client(identifier(1), ClientRights()))
        bench.greet(&peer)
        #expect(bench.byes.count == 1)
    }

    @Test func aGapEndsTheSession() {
        var bench = BrokerBench()
        var client = bench.client(1)
        client.sent += 1
        bench.submit(1, as: &client)
        #expect(bench.byes.count == 1)
        #expect(bench.journal.isEmpty)
        #expect(bench.core.snapshot.counters.gaps == 1)
        #expect(bench.core.snapshot.sessions == 0)
    }

    @Test func theNewestSessionWins() {
        var bench = BrokerBench()
        var old = bench.client(1)
        var new = bench.client(1)
        #expect(bench.sent.contains { $0.to == old.connection && "\($0.body!)".contains("another session") })
        bench.submit(1, as: &old)
        #expect(bench.byes.count == 1)
        bench.submit(1, as: &new)
        #expect(bench.has(isAccepted))
    }

    @Test func aSilentPeerIsDropped() {
        var bench = BrokerBench()
        var talking = bench.client(1)
        let silent = bench.client(2)
        bench.wait(5 * .second)
        bench.say(.ping(WirePing()), as: &talking)
        bench.wait(4 * .second)
        #expect(bench.dropped == [silent.connection])
        #expect(bench.core.snapshot.sessions == 1)
    }

    @Test func halfOpenSessionsDoNotPileUp() {
        var bench = BrokerBench()
        for _ in 0..<100 {
            var peer = bench.peer(.client(identifier(1), ClientRights()))
            var hello = WireHello()
            hello.role = "client"
            bench.say(.hello(hello), as: &peer)
        }
        #expect(bench.core.sessions.sessions.count == 1)
    }

    @Test func garbageCostsTheSession() {
        var bench = BrokerBench()
        let client = bench.client(1)
        bench.take(
            bench.core.receivedGarbage(
                WireError(.malformed, "no message"), from: client.connection, as: client.principal, at: bench.moment))
        #expect(bench.byes == ["no message"])
        #expect(bench.core.snapshot.sessions == 0)
    }

    @Test func newKeysReachClientsInSession() {
        var bench = BrokerBench()
        let client = bench.client(1)
        bench.take(bench.core.renew(keyBundle: [9], poolKeys: Fixture.configuration.poolKeys, at: bench.moment))
        guard case .keys(let keys) = bench.sent.first?.body else {
            Issue.record("no KEYS")
            return
        }
        #expect(Array(keys.keyBundle) == [9])
        #expect(bench.sent.first?.to == client.connection)
    }
}

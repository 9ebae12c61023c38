import Exchange
import Foundation
import Synchronization
import Testing
import Wire
import ZeroMQ

@testable import Fabric

@Suite(.timeLimit(.minutes(1))) struct LinkTests {
    let directory = Directory()
    let events = Record<Parrot.Event>()
    let reports = Record<LinkReport>()

    func link(
        to brokers: [BrokerAddress], as keys: Keys, machine: Parrot = Parrot(),
        adjust: (inout LinkSettings) -> Void = { _ in }
    ) throws -> DealerLink<Parrot> {
        var settings = LinkSettings()
        adjust(&settings)
        return try DealerLink(
            context: Context(), brokers: brokers, identity: keys.identity, machine: machine, settings: settings,
            logger: quiet, report: { reports.add($0) }, deliver: { events.add($0) })
    }

    static let echo: TestHub.Answer = { event in
        guard case .message(let connection, .some, let frames) = event else { return [] }
        return [(frames, connection)]
    }

    @Test func whatIsSaidComesBackUnderItsPrincipal() async throws {
        let keys = try directory.addClient()
        let hub = try TestHub(directory, keys: Keys(), answer: Self.echo)
        defer { hub.stop() }
        let link = try link(to: [hub.address], as: keys)
        async let end: Void = link.run()
        let payload = [UInt8](repeating: 7, count: 300_000)
        #expect(try await events.wait { if case .heard = $0 { true } else { false } })
        link.send(.say(submit(payload)))
        #expect(try await events.wait(for: 2) { if case .heard = $0 { true } else { false } })
        guard case .heard(let frames)? = events.all.last else { return }
        #expect(frames.attachments == [[1, 2, 3], payload])
        #expect(frames.control.sequence == 2)
        let principals: [Principal?] = hub.events.withLock { events in
            events.compactMap { event in
                if case .message(_, let principal, _) = event { principal } else { nil }
            }
        }
        #expect(principals == [directory[keys.key], directory[keys.key]])
        link.send(.close)
        try await end
    }

    @Test func commandsBeforeTheStartAreNotLost() async throws {
        let keys = try directory.addClient()
        let hub = try TestHub(directory, keys: Keys(), answer: Self.echo)
        defer { hub.stop() }
        let link = try link(to: [hub.address], as: keys)
        link.send(.say(submit([9])))
        async let end: Void = link.run()
        #expect(try await events.wait(for: 2) { if case .heard = $0 { true } else { false } })
        link.close()
        try await end
    }

    @Test func theClockRingsTheMachine() async throws {
        let keys = try directory.addClient()
        var machine = Parrot()
        machine.nextDeadline = Moment.now().uptime + 100_000_000
        let link = try link(
            to: [BrokerAddress(endpoint: "tcp://127.0.0.1:9", key: keys.key)], as: keys, machine: machine)
        let start = ContinuousClock.now
        async let end: Void = link.run()
        #expect(try await events.wait { if case .ticked = $0 { true } else { false } })
        #expect(ContinuousClock.now - start > .milliseconds(80))
        link.close()
        try await end
    }

    @Test func aBrokerThatIsNotThereIsReportedAndTriedAgain() async throws {
        let keys = try directory.addClient()
        let brokerKeys = try Keys()
        // A port that was free a moment ago.
        let probe = try TestHub(directory, keys: brokerKeys, answer: Self.echo)
        let address = probe.address
        probe.stop()
        let link = try link(to: [address], as: keys)
        async let end: Void = link.run()
        #expect(try await reports.wait { $0 == .unreachable(address.endpoint) })
        let port = try #require(Int(address.endpoint.split(separator: ":").last ?? ""))
        let hub = try TestHub(directory, keys: brokerKeys, port: port, answer: Self.echo)
        defer { hub.stop() }
        #expect(try await events.wait { if case .heard = $0 { true } else { false } })
        #expect(reports.all.last == .connected(address.endpoint))
        link.close()
        try await end
    }

    @Test func aRestartedBrokerHearsAFreshOpening() async throws {
        let keys = try directory.addClient()
        let brokerKeys = try Keys()
        let first = try TestHub(directory, keys: brokerKeys, answer: Self.echo)
        let link = try link(to: [first.address], as: keys)
        async let end: Void = link.run()
        #expect(try await events.wait { if case .heard = $0 { true } else { false } })
        first.stop()
        let port = try #require(Int(first.address.endpoint.split(separator: ":").last ?? ""))
        let second = try TestHub(directory, keys: brokerKeys, port: port, answer: Self.echo)
        defer { second.stop() }
        #expect(try await events.wait(for: 2) { if case .heard = $0 { true } else { false } })
        #expect(events.count { if case .opened = $0 { true } else { false } } >= 2)
        #expect(reports.all.contains(.lost(first.address.endpoint)))
        // Its first message is HELLO number 1 of a new session, not the rest of an old one.
        guard case .message(_, _, let frames)? = second.events.withLock({ $0.first }) else {
            Issue.record("nothing was heard")
            return
        }
        #expect(frames.control.sequence == 1)
        link.close()
        try await end
    }

    @Test func movingGoesToTheNextBroker() async throws {
        let keys = try directory.addClient()
        let (first, second) = (
            try TestHub(directory, keys: Keys(), answer: Self.echo),
            try TestHub(directory, keys: Keys(), answer: Self.echo)
        )
        defer {
            first.stop()
            second.stop()
        }
        let link = try link(to: [first.address, second.address], as: keys)
        async let end: Void = link.run()
        #expect(try await events.wait { if case .heard = $0 { true } else { false } })
        link.send(.move)
        #expect(try await events.wait(for: 2) { if case .heard = $0 { true } else { false } })
        #expect(first.events.withLock { $0.count } == 1)
        #expect(second.events.withLock { $0.count } == 1)
        link.close()
        try await end
    }

    @Test func anUnknownKeyIsToldSo() async throws {
        let hub = try TestHub(directory, keys: Keys(), answer: Self.echo)
        defer { hub.stop() }
        let link = try link(to: [hub.address], as: Keys())
        async let end: Void = link.run()
        #expect(try await reports.wait { $0 == .refused(hub.address.endpoint) })
        #expect(hub.events.withLock { $0.isEmpty })
        link.close()
        try await end
    }

    @Test func aBrokerThatIsDownIsPassedOver() async throws {
        let keys = try directory.addClient()
        let hub = try TestHub(directory, keys: Keys(), answer: Self.echo)
        defer { hub.stop() }
        var down = BrokerAddress(endpoint: "tcp://127.0.0.1:9", key: try Keys().key)
        while BrokerAddress.order([down, hub.address], for: keys.key)[0] != down {
            down = BrokerAddress(endpoint: "tcp://127.0.0.1:9", key: try Keys().key)
        }
        let link = try link(to: [down, hub.address], as: keys)
        async let end: Void = link.run()
        #expect(try await events.wait { if case .heard = $0 { true } else { false } })
        #expect(reports.all.contains(.unreachable(down.endpoint)))
        link.close()
        try await end
    }

    /// A moment's absence is put up with: the broker has our jobs. A longer one is not.
    @Test func aBrokerThatIsGoneIsLeftForTheNext() async throws {
        let keys = try directory.addClient()
        let hubs = try (0..<2).map { _ in try TestHub(directory, keys: Keys(), answer: Self.echo) }
        let order = BrokerAddress.order(hubs.map(\.address), for: keys.key)
        let first = try #require(hubs.first { $0.address == order[0] })
        let second = try #require(hubs.first { $0.address == order[1] })
        defer { second.stop() }
        let link = try link(to: hubs.map(\.address), as: keys) { $0.patience = 300 }
        async let end: Void = link.run()
        #expect(try await events.wait { if case .heard = $0 { true } else { false } })
        let gone = ContinuousClock.now
        first.stop()
        #expect(try await events.wait(for: 2) { if case .heard = $0 { true } else { false } })
        #expect(ContinuousClock.now - gone >= .milliseconds(250))
        #expect(second.events.withLock { $0.count } == 1)
        link.close()
        try await end
    }

    /// Each is given longer than the last, so that brokers which take their time are reached in the end.
    @Test func brokersThatAreSlowToShakeHandsAreReached() async throws {
        let keys = try directory.addClient()
        let hubs = try (0..<2).map { _ in try TestHub(directory, keys: Keys(), answer: Self.echo) }
        let relays = try hubs.map { hub in
            let port = hub.address.endpoint.split(separator: ":").last.flatMap { UInt16($0) }
            return try SlowRelay(to: #require(port), delay: 0.7)
        }
        defer {
            for relay in relays { relay.stop() }
            for hub in hubs { hub.stop() }
        }
        let addresses = zip(hubs, relays).map {
            BrokerAddress(endpoint: "tcp://127.0.0.1:\($1.port)", key: $0.address.key)
        }
        let link = try link(to: addresses, as: keys) { $0.patience = 150 }
        async let end: Void = link.run()
        #expect(try await events.wait { if case .heard = $0 { true } else { false } })
        #expect(reports.all.contains { if case .unreachable = $0 { true } else { false } })
        link.close()
        try await end
    }

    /// Everybody's order is another, and stays.
    @Test func brokersAreSpread() throws {
        let brokers = try (0..<4).map { BrokerAddress(endpoint: "tcp://127.0.0.1:\($0 + 1)", key: try Keys().key) }
        var firsts: [BrokerAddress: Int] = [:]
        for _ in 0..<400 {
            let key = try Keys().key
            let order = BrokerAddress.order(brokers, for: key)
            #expect(Set(order) == Set(brokers) && order == BrokerAddress.order(brokers.reversed(), for: key))
            firsts[order[0], default: 0] += 1
        }
        // 100 each, with a standard deviation of 9.
        #expect(firsts.count == 4 && firsts.values.allSatisfy { (50...150).contains($0) })
    }

    @Test func aKeyThatIsAddedToTheRosterIsLetInWithoutARestart() async throws {
        let hub = try TestHub(directory, keys: Keys(), answer: Self.echo)
        defer { hub.stop() }
        let keys = try Keys()
        let link = try link(to: [hub.address], as: keys) { $0.longestPause = 100 }
        async let end: Void = link.run()
        #expect(try await reports.wait { $0 == .refused(hub.address.endpoint) })
        directory[keys.key] = .client(try #require(ClientID(keys.key.bytes.prefix(16))), ClientRights())
        #expect(try await events.wait { if case .heard = $0 { true } else { false } })
        link.close()
        try await end
    }

    @Test func aServerWithAnotherKeyIsToldApart() async throws {
        let keys = try directory.addClient()
        let hub = try TestHub(directory, keys: Keys(), answer: Self.echo)
        defer { hub.stop() }
        let link = try link(to: [BrokerAddress(endpoint: hub.address.endpoint, key: Keys().key)], as: keys)
        async let end: Void = link.run()
        #expect(try await reports.wait { $0 == .wrongServer(hub.address.endpoint) })
        link.close()
        try await end
    }

    @Test func whatWasSaidLastStillGoesOut() async throws {
        let keys = try directory.addClient()
        let hub = try TestHub(directory, keys: Keys(), answer: { _ in [] })
        defer { hub.stop() }
        let link = try link(to: [hub.address], as: keys)
        async let end: Void = link.run()
        #expect(try await reports.wait { $0 == .connected(hub.address.endpoint) })
        for number in 0..<50 { link.send(.say(submit(.init(repeating: UInt8(number), count: 200_000)))) }
        link.send(.close)
        try await end
        var heard: [UInt64] = []
        for _ in 0..<400 where heard.count < 51 {
            try await Task.sleep(for: .milliseconds(5))
            heard = hub.events.withLock { events in
                events.compactMap { event in
                    if case .message(_, _, let frames) = event { frames.control.sequence } else { nil }
                }
            }
        }
        #expect(heard == Array(1...51))
    }

    @Test func aBadEndpointEndsTheRunWithAnError() async throws {
        let keys = try directory.addClient()
        let link = try link(to: [BrokerAddress(endpoint: "nonsense", key: keys.key)], as: keys)
        let error = await #expect(throws: ZeroMQError.self) { try await link.run() }
        #expect(error?.code == .badEndpoint)
        #expect(throws: ZeroMQError.self) { try self.link(to: [], as: keys) }
    }

    @Test func aLinkRunsOnceAndLetsGoOfWhatItHeld() async throws {
        final class Witness: Sendable {}
        let keys = try directory.addClient()
        weak var seen: Witness?
        let link: DealerLink<Parrot>
        do {
            let witness = Witness()
            seen = witness
            link = try DealerLink(
                context: Context(), brokers: [BrokerAddress(endpoint: "tcp://127.0.0.1:9", key: keys.key)],
                identity: keys.identity, machine: Parrot(), logger: quiet, deliver: { _ in _ = witness })
        }
        #expect(seen != nil)
        link.close()
        try await link.run()
        // Its thread may take a moment to end.
        for _ in 0..<1000 where seen != nil { try await Task.sleep(for: .milliseconds(5)) }
        #expect(seen == nil)
        let error = await #expect(throws: ZeroMQError.self) { try await link.run() }
        #expect(error?.code == .wrongState)
    }

    @Test func cancellingTheTaskEndsTheLink() async throws {
        let keys = try directory.addClient()
        let link = try link(to: [BrokerAddress(endpoint: "tcp://127.0.0.1:9", key: keys.key)], as: keys)
        let task = Task { try await link.run() }
        #expect(try await reports.wait { if case .connecting = $0 { true } else { false } })
        task.cancel()
        try await task.value
    }
}

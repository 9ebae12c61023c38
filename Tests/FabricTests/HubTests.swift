import Exchange
import Foundation
import Synchronization
import Testing
import Wire
import ZeroMQ

@testable import Fabric

/// A DEALER by hand, for what a link would never send.
final class BarePeer {
    let socket: Socket

    init(_ address: BrokerAddress, _ keys: Keys, receiveHighWater: Int32 = 64) throws {
        var settings = SocketSettings()
        settings.immediate = false
        settings.linger = 1000
        settings.receiveHighWater = receiveHighWater
        settings.security = .client(keys.key, keys.identity.secret, server: address.key)
        socket = try Socket(Context(), .dealer, settings)
        try socket.connect(address.endpoint)
    }

    func send(_ frames: Frames, sequence: UInt64 = 1) throws {
        #expect(try socket.send(frames.parts(sequence: sequence)) == .sent)
    }

    func receive(within seconds: Double = 5) throws -> [[UInt8]]? {
        let end = Date().addingTimeInterval(seconds)
        while Date() < end {
            if case .message(let message) = try socket.receive(ReceiveLimits(parts: 4, bytes: 64 << 20)) {
                return message.parts
            }
            usleep(1000)
        }
        return nil
    }
}

@Suite(.timeLimit(.minutes(1))) struct HubTests {
    let directory = Directory()

    func wait(_ hub: TestHub, for count: Int = 1, where condition: (HubEvent) -> Bool) -> Bool {
        for _ in 0..<2000 {
            if hub.events.withLock({ $0.count(where: condition) }) >= count { return true }
            usleep(5000)
        }
        return false
    }

    @Test func eachSideHasItsOwnDoorAndConnectionsTheirOwnNames() throws {
        let (client, worker) = (try directory.addClient(), try directory.addWorker())
        let hub = try TestHub(directory, keys: Keys()) { _ in [] }
        defer { hub.stop() }
        let peers = [
            try BarePeer(hub.address, client), try BarePeer(hub.address, client),
            try BarePeer(hub.workerAddress, worker),
        ]
        for peer in peers { try peer.send(Frames(.ping(WirePing()))) }
        #expect(wait(hub, for: 3) { if case .message = $0 { true } else { false } })
        var seen: [ConnectionID: Principal?] = [:]
        hub.events.withLock { events in
            for case .message(let connection, let principal, _) in events { seen[connection] = principal }
        }
        #expect(seen.count == 3)
        #expect(seen.filter { $0.key.side == .client }.values.allSatisfy { $0 == directory[client.key] })
        #expect(seen.filter { $0.key.side == .worker }.values.map { $0 } == [directory[worker.key]])
    }

    @Test func bytesThatAreNoMessageAreGarbageOfAKnownPeer() throws {
        let client = try directory.addClient()
        let hub = try TestHub(directory, keys: Keys()) { _ in [] }
        defer { hub.stop() }
        let peer = try BarePeer(hub.address, client)
        let garbage: [[[UInt8]]] = [[[]], [[0xFF, 0xFF]], [[8, 1], [1]], [[8, 9]], .init(repeating: [1], count: 4)]
        for parts in garbage { #expect(try peer.socket.send(parts) == .sent) }
        #expect(try peer.socket.send(.init(repeating: [1], count: 50)) == .sent)
        try peer.send(Frames(.ping(WirePing())))
        #expect(wait(hub) { if case .message = $0 { true } else { false } })
        let count = hub.events.withLock { events in
            events.count { if case .garbage(_, .some, _) = $0 { true } else { false } }
        }
        #expect(count == garbage.count)
    }

    @Test func aKeyThatIsTakenFromTheRosterIsNobodyFromThenOn() throws {
        let client = try directory.addClient()
        let hub = try TestHub(directory, keys: Keys()) { _ in [] }
        defer { hub.stop() }
        let peer = try BarePeer(hub.address, client)
        try peer.send(Frames(.ping(WirePing())))
        #expect(wait(hub) { if case .message(_, .some, _) = $0 { true } else { false } })
        directory[client.key] = nil
        try peer.send(Frames(.ping(WirePing())))
        #expect(wait(hub) { if case .message(_, nil, _) = $0 { true } else { false } })
    }

    @Test func aPeerThatLeftIsReportedWhenItIsSpokenTo() throws {
        let client = try directory.addClient()
        let connection = Mutex<ConnectionID?>(nil)
        let hub = try TestHub(directory, keys: Keys()) { event in
            if case .message(let id, _, _) = event, let last = connection.withLock({ $0 }), last != id {
                return [(Frames(.pong(WirePong())), last)]
            }
            if case .message(let id, _, _) = event { connection.withLock { $0 = id } }
            return []
        }
        defer { hub.stop() }
        var first: BarePeer? = try BarePeer(hub.address, client)
        try first?.send(Frames(.ping(WirePing())))
        #expect(wait(hub) { if case .message = $0 { true } else { false } })
        first = nil
        let second = try BarePeer(hub.address, client)
        for _ in 0..<200 {
            try second.send(Frames(.ping(WirePing())))
            usleep(5000)
            if hub.events.withLock({ $0.contains { if case .unreachable = $0 { true } else { false } } }) { break }
        }
        let gone = hub.events.withLock { events in
            events.compactMap { event -> ConnectionID? in if case .unreachable(let id) = event { id } else { nil } }
        }
        #expect(gone == [connection.withLock { $0 }])
    }

    @Test func aPeerThatReadsNothingHoldsUpNobodyAndIsDroppedAtTheLimit() throws {
        let (slow, brisk) = (try directory.addClient(), try directory.addClient())
        let payload = [UInt8](repeating: 1, count: 1 << 20)
        let slowPrincipal = directory[slow.key]
        let hub = try TestHub(directory, keys: Keys(), adjust: { $0.maximumOutboxBytes[.client] = 16 << 20 }) { event in
            guard case .message(let id, let principal, _) = event else { return [] }
            // Far more than socket, kernel and outbox hold.
            if principal == slowPrincipal { return .init(repeating: (submit(payload), id), count: 200) }
            return [(Frames(.pong(WirePong())), id)]
        }
        defer { hub.stop() }
        let first = try BarePeer(hub.address, slow, receiveHighWater: 1)
        try first.send(Frames(.ping(WirePing())))
        #expect(wait(hub) { if case .unreachable = $0 { true } else { false } })
        let second = try BarePeer(hub.address, brisk)
        try second.send(Frames(.ping(WirePing())))
        #expect(try second.receive() != nil)
    }

    /// A worker is not dropped for jobs that it has slots for.
    @Test func whatWaitsForASlowWorkerComesWholeAndInOrder() throws {
        let worker = try directory.addWorker()
        let hub = try TestHub(directory, keys: Keys()) { event in
            guard case .message(let id, _, _) = event else { return [] }
            return (0..<200).map { (submit(.init(repeating: UInt8($0), count: 500_000)), id) }
        }
        defer { hub.stop() }
        let peer = try BarePeer(hub.workerAddress, worker, receiveHighWater: 1)
        try peer.send(Frames(.ping(WirePing())))
        usleep(300_000)
        for number in 0..<200 {
            let parts = try #require(try peer.receive())
            #expect(parts.last == .init(repeating: UInt8(number), count: 500_000))
        }
    }

    @Test func aPortInUseIsNamed() throws {
        let keys = try Keys()
        let hub = try TestHub(directory, keys: keys) { _ in [] }
        defer { hub.stop() }
        let port = try #require(Int(hub.address.endpoint.split(separator: ":").last ?? ""))
        let error = #expect(throws: ZeroMQError.self) { _ = try TestHub(directory, keys: keys, port: port) { _ in [] } }
        #expect(error?.code == .addressInUse)
        #expect(error?.message.contains("\(port)") == true)
    }
}

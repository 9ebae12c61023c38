import CZeroMQ
import Foundation
import Testing

@testable import ZeroMQ

@Suite struct SocketTests {
    @Test func aMebibyteGoesThereAndBackUnchanged() throws {
        let server = try Server()
        let keys = try Keys()
        server.known = [keys.key]
        let client = try server.client(keys)
        let payload = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 9) }
        #expect(try client.send([[1], [], payload]) == .sent)
        let message = try #require(try server.nextMessage())
        #expect(message.parts == [[1], [], payload])
        #expect(try server.router.send([payload, [2]], to: message.route) == .sent)
        #expect(try #require(try receive(client)).parts == [payload, [2]])
    }

    @Test(arguments: [5, 50]) func aMessageOfTooManyPartsIsDrainedAndDropped(count: Int) throws {
        let server = try Server()
        let keys = try Keys()
        server.known = [keys.key]
        let client = try server.client(keys)
        #expect(try client.send(.init(repeating: [1], count: count)) == .sent)
        #expect(try client.send([[42]]) == .sent)
        guard case .refused(.tooManyParts, let route) = try server.next() else {
            Issue.record("the message was not refused")
            return
        }
        let message = try #require(try server.nextMessage())
        #expect(message.parts == [[42]])
        #expect(message.route == route)
    }

    @Test func aMessageOfTooManyBytesIsDrainedAndDropped() throws {
        let server = try Server()
        let keys = try Keys()
        server.known = [keys.key]
        let client = try server.client(keys)
        let part = [UInt8](repeating: 1, count: 2 << 20)
        #expect(try client.send([part, part, part]) == .sent)
        #expect(try client.send([[42]]) == .sent)
        guard case .refused(.tooManyBytes, _) = try server.next() else {
            Issue.record("the message was not refused")
            return
        }
        #expect(try server.nextMessage()?.parts == [[42]])
    }

    @Test func aFrameOverTheLimitCutsItsPeerOffAndNobodyElse() throws {
        let server = try Server { $0.maximumFrameLength = 100_000 }
        let (greedy, modest) = (try Keys(), try Keys())
        server.known = [greedy.key, modest.key]
        let first = try server.client(greedy)
        #expect(try first.send([.init(repeating: 0, count: 200_000)]) == .sent)
        #expect(try server.nextMessage(within: 0.4) == nil)
        let second = try server.client(modest)
        #expect(try second.send([[1]]) == .sent)
        #expect(try server.nextMessage()?.userID == modest.key.hex)
    }

    @Test func aPeerThatChoosesItsOwnNameIsNotServed() throws {
        let server = try Server()
        let keys = try Keys()
        server.known = [keys.key]
        var settings = SocketSettings()
        settings.immediate = false
        settings.security = .client(keys.key, keys.secret, server: server.keys.key)
        let client = try Socket(Context(), .dealer, settings)
        try client.set(ZMQ_ROUTING_ID, Array("mallory".utf8))
        try client.connect(server.endpoint)
        #expect(try client.send([[1]]) == .sent)
        guard case .refused(.chosenIdentity, nil) = try server.next() else {
            Issue.record("the message was not refused")
            return
        }
    }

    @Test func junkOnTheWireHurtsNobodyElse() throws {
        let server = try Server()
        let keys = try Keys()
        server.known = [keys.key]
        var random = SystemRandomNumberGenerator()
        var junk: [[UInt8]] = [
            Array("GET / HTTP/1.1\r\nHost: broker\r\n\r\n".utf8), .init(repeating: 0xFF, count: 100_000), [0xFF],
            // A greeting that is right, and then nothing that is.
            [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0] + Array("CURVE".utf8) + .init(repeating: 0, count: 47)
                + .init(repeating: 0xAB, count: 5000),
        ]
        for _ in 0..<20 { junk.append((0..<2000).map { _ in UInt8.random(in: 0...255, using: &random) }) }
        var connections: [RawConnection] = []
        for bytes in junk {
            let connection = try RawConnection(server.endpoint)
            connection.write(bytes)
            connections.append(connection)
        }
        #expect(try server.nextMessage(within: 0.3) == nil)
        let client = try server.client(keys)
        #expect(try client.send([[1]]) == .sent)
        #expect(try server.nextMessage()?.parts == [[1]])
        #expect(server.refusals.isEmpty)
    }

    @Test func sendingToAPeerThatIsGoneSaysSo() throws {
        let server = try Server()
        let keys = try Keys()
        server.known = [keys.key]
        var client: Socket? = try server.client(keys)
        #expect(try client?.send([[1]]) == .sent)
        let route = try #require(try server.nextMessage()?.route)
        client = nil
        let end = Date().addingTimeInterval(5)
        var outcome = SendOutcome.sent
        while outcome == .sent, Date() < end {
            outcome = try server.router.send([[1]], to: route)
            usleep(2000)
        }
        #expect(outcome == .unreachable)
    }

    @Test func sendingToAPeerThatReadsNothingBlocksNobody() throws {
        let server = try Server { $0.sendHighWater = 4 }
        let keys = try Keys()
        server.known = [keys.key]
        let client = try server.client(keys) { $0.receiveHighWater = 1 }
        #expect(try client.send([[1]]) == .sent)
        let route = try #require(try server.nextMessage()?.route)
        let payload = [UInt8](repeating: 0, count: 1 << 20)
        var outcome = SendOutcome.sent
        var sent = 0
        while outcome == .sent, sent < 200 {
            outcome = try server.router.send([payload], to: route)
            sent += 1
            usleep(500)
        }
        #expect(outcome == .wouldBlock)
        // It was refused whole: what comes later is not torn.
        for _ in 1..<sent { #expect(try receive(client)?.parts == [payload]) }
    }

    @Test func aDealerThatIsNotConnectedKeepsTheMessageInOurHands() throws {
        var settings = SocketSettings()
        settings.immediate = true
        let socket = try Socket(Context(), .dealer, settings)
        try socket.connect("tcp://127.0.0.1:9")
        #expect(try socket.send([[1], [2]]) == .wouldBlock)
    }

    @Test func errorsNameTheEndpointAndTheWayOut() throws {
        let context = try Context()
        let first = try Socket(context, .router)
        let endpoint = try first.bind("tcp://127.0.0.1:*")
        #expect(endpoint.hasPrefix("tcp://127.0.0.1:"))
        let second = try Socket(context, .router)
        let inUse = #expect(throws: ZeroMQError.self) { try second.bind(endpoint) }
        #expect(inUse?.code == .addressInUse)
        #expect(inUse?.message.contains(endpoint) == true)
        #expect(#expect(throws: ZeroMQError.self) { try second.bind("nonsense") }?.code == .badEndpoint)
        #expect(#expect(throws: ZeroMQError.self) { try second.bind("carrier://pigeon") }?.code == .unsupported)
        #expect(
            #expect(throws: ZeroMQError.self) { try second.bind("tcp://203.0.113.7:80") }?.code == .addressNotAvailable)
        #expect(#expect(throws: ZeroMQError.self) { try second.set(ZMQ_CURVE_PUBLICKEY, [1, 2]) }?.code == .badOption)
    }

    /// Its own PING makes libzmq go through the timers of all connections for each message.
    @Test func theKernelWatchesConnectionsAndNotLibzmq() throws {
        let socket = try Socket(Context(), .router)
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = -1, size = MemoryLayout<Int32>.size
            return zmq_getsockopt(socket.handle, name, &value, &size) == 0 ? value : nil
        }
        #expect([ZMQ_HEARTBEAT_IVL, ZMQ_HEARTBEAT_TTL].map(option) == [0, 0])
        #expect([ZMQ_TCP_KEEPALIVE, ZMQ_TCP_KEEPALIVE_IDLE, ZMQ_TCP_MAXRT].map(option) == [1, 30, 60_000])
    }

    @Test func anInboxWakesItsOwnerFromAnotherThread() throws {
        let inbox = try Inbox<Int>()
        LoopThread.start(named: "sender") {
            usleep(50_000)
            for number in 0..<1000 { inbox.put(number) }
        }
        var received: [Int] = []
        let end = Date().addingTimeInterval(5)
        while received.count < 1000, Date() < end {
            var poll = PollSet(readable: [], wakeUp: inbox.wakeUp)
            try poll.wait(timeout: 5000)
            received += inbox.takeAll()
        }
        #expect(received == Array(0..<1000))
    }
}

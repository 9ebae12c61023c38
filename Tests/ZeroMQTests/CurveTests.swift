import Testing

@testable import ZeroMQ

@Suite struct CurveTests {
    @Test func aKnownKeyIsNamedOnItsVeryFirstMessage() throws {
        let server = try Server()
        for _ in 0..<40 {
            let keys = try Keys()
            server.known = [keys.key]
            let client = try server.client(keys)
            #expect(try client.send([[1, 2, 3]]) == .sent)
            let message = try #require(try server.nextMessage())
            #expect(message.userID == keys.key.hex)
            #expect(message.parts == [[1, 2, 3]])
            #expect(message.route != nil)
        }
    }

    @Test func anUnknownKeyIsTurnedAwayAndReported() throws {
        let server = try Server()
        let stranger = try Keys()
        let context = try Context()
        let client = try server.client(stranger, in: context)
        let monitor = try Monitor(context, watching: client)
        #expect(try client.send([[1]]) == .sent)
        #expect(try server.nextMessage(within: 0.5) == nil)
        #expect(server.refusals.first?.key == stranger.key)
        #expect(server.refusals.first?.address == "127.0.0.1")
        var events: [Monitor.Event] = []
        while let event = try monitor.next() { events.append(event) }
        #expect(events.first == .refused)
        #expect(!events.contains(.connected))
    }

    @Test func withoutAnAuthenticatorCurveAdmitsAnybodyAndNamesNobody() throws {
        let server = try Server(authenticated: false)
        let client = try server.client(Keys())
        #expect(try client.send([[1]]) == .sent)
        let message = try #require(try server.nextMessage())
        // The trap, and the guard against it: a message without a name must never be served.
        #expect(message.userID == nil)
    }

    @Test func aClientThatExpectsAnotherServerSaysNothing() throws {
        let server = try Server()
        let keys = try Keys()
        server.known = [keys.key]
        let context = try Context()
        let client = try server.client(keys, serverKey: Keys().key, in: context)
        let monitor = try Monitor(context, watching: client)
        #expect(try client.send([[1]]) == .sent)
        #expect(try server.nextMessage(within: 0.5) == nil)
        #expect(server.refusals.isEmpty)
        var events: Set<Monitor.Event> = []
        while let event = try monitor.next() { events.insert(event) }
        #expect(events.contains(.disconnected) || events.contains(.handshakeFailed))
        #expect(!events.contains(.connected))
    }

    /// Else the I/O thread would wait for ever to tell it of the lost connection, and nothing of the context would move.
    @Test func aMonitorThatIsGoneHoldsNobodyUp() throws {
        let keys = try Keys()
        let context = try Context()
        var monitor: Monitor?
        let client: Socket
        do {
            let server = try Server()
            server.known = [keys.key]
            client = try server.client(keys, in: context)
            monitor = try Monitor(context, watching: client)
            #expect(try client.send([[1]]) == .sent)
            #expect(try server.nextMessage() != nil && monitor?.next() == .connected)
            monitor = nil
        }
        // That server is gone, and the connection lost.
        let other = try Server()
        other.known = [keys.key]
        let next = try other.client(keys, in: context)
        for _ in 0..<20 {
            #expect(try next.send([[2]]) == .sent)
            #expect(try other.nextMessage()?.parts == [[2]])
        }
    }

    @Test func peersWithoutCurveAreNotHeard() throws {
        let server = try Server()
        let client = try server.client(Keys()) { $0.security = .none }
        #expect(try client.send([[1]]) == .sent)
        #expect(try server.nextMessage(within: 0.5) == nil)
    }

    @Test func twoContextsWithTheirOwnAuthenticatorsDoNotMix() throws {
        let (first, second) = (try Server(), try Server())
        let keys = try Keys()
        first.known = [keys.key]
        let welcome = try first.client(keys)
        let unwelcome = try second.client(keys)
        #expect(try welcome.send([[1]]) == .sent)
        #expect(try unwelcome.send([[1]]) == .sent)
        #expect(try first.nextMessage()?.userID == keys.key.hex)
        #expect(try second.nextMessage(within: 0.3) == nil)
        #expect(second.refusals.first?.key == keys.key)
    }

    @Test func malformedQuestionsToTheAuthenticatorAreAnsweredWithNo() throws {
        let context = try Context()
        let authenticator = try Authenticator(context)
        var settings = SocketSettings()
        settings.immediate = false
        let asker = try Socket(context, .dealer, settings)
        try asker.connect(Authenticator.endpoint)
        let version = Array("1.0".utf8)
        let curve = Array("CURVE".utf8)
        let key = [UInt8](repeating: 7, count: 32)
        // After the empty delimiter: nothing, junk, another version, another mechanism, a short key, too many parts.
        let requests: [[[UInt8]]] = [
            [], [[9, 9]], [[50], [1], [], [], [], curve, key], [version, [1], [], [], [], Array("NULL".utf8)],
            [version, [1], [], [], [], curve, [1, 2]], [version] + .init(repeating: [1], count: 30),
        ]
        for request in requests {
            #expect(try asker.send([[]] + (request.isEmpty ? [[]] : request)) == .sent)
            #expect(try authenticator.serve { _ in true }.count == 1)
            let answer = try #require(try receive(asker)).parts
            #expect(answer.count > 4 && answer[3] != Array("200".utf8))
        }
        #expect(try asker.send([[], version, [1], [], [], [], curve, key]) == .sent)
        #expect(try authenticator.serve { _ in true }.isEmpty)
        let answer = try #require(try receive(asker)).parts
        #expect(answer.dropFirst(2).prefix(2).map { $0 } == [[1], Array("200".utf8)])
        #expect(answer[5] == Array(String(repeating: "07", count: 32).utf8))
    }
}

import Exchange
import Fabric
import Foundation
import Testing
import Trust
import Wire
import ZeroMQ

/// A broker process with a cap of memory, and a client that sends a message without end: libzmq has no limit for it, and hands over
/// nothing of it before its last part.
@Suite(.serialized, .timeLimit(.minutes(2))) struct MemoryCapTests {
    private static let cap = ["--memory", "256"]

    @Test func aMessageWithoutEndEndsTheBrokerAndLosesNothing() async throws {
        let world = try World()
        let (client, flooder) = (try world.node(.client, "a"), try world.node(.client, "flooder"))
        let worker = try world.node(.worker, "w")
        let broker = try BrokerProcess(world, more: Self.cap)
        let endpoints = try await broker.endpoints()
        var sent: [JobID: [UInt8]] = [:]
        let owner = try StubClient(world, client, brokers: [broker.address(endpoints.clients)], acknowledging: false)
        func submit(_ count: Int) throws {
            for _ in 0..<count {
                let bytes = try payload(20_000)
                sent[try owner.submit(bytes)] = bytes
            }
        }
        // Some are done, and wait for their client; some wait for a worker.
        let hand = try StubWorker(world, worker, brokers: [broker.address(endpoints.workers)])
        try submit(10)
        #expect(try await owner.waitForResults(10))
        try await hand.kill()
        try submit(10)
        #expect(try await owner.waitForAccepted(20))
        try await owner.stop()

        let flood = try Self.flood(world, flooder, broker.address(endpoints.clients))
        let status = try await broker.end(asked: false)
        #expect(status != 0, "\(broker.output)")
        _ = consume flood

        // As whoever supervises it would.
        let next = try BrokerProcess(world, at: endpoints, more: Self.cap)
        _ = try await next.endpoints()
        let other = try StubWorker(world, worker, brokers: [next.address(endpoints.workers)])
        let late = try StubClient(world, client, brokers: [next.address(endpoints.clients)])
        #expect(try await late.waitForResults(20), "\(next.output)")
        #expect(try await late.events.wait(for: 20) { if case .ackStored = $0 { true } else { false } })
        let results = late.results
        #expect(Set(results.map(\.job)) == Set(sent.keys), "lost")
        #expect(results.count == sent.count, "surfaced twice")
        #expect(results.allSatisfy { sent[$0.job].map { $0.reversed() } == $0.sealed })
        try await late.stop()
        try await other.kill()
        #expect(try await next.end() == 0)
    }

    /// Four times as much as the broker may have. The parts share their bytes, so here it costs nothing.
    private static func flood(_ world: World, _ kit: NodeKit, _ broker: BrokerAddress) throws -> Socket {
        let identity = try kit.identity
        var settings = SocketSettings()
        settings.security = .client(identity.key, identity.secret, server: broker.key)
        let socket = try Socket(world.context, .dealer, settings)
        try socket.connect(broker.endpoint)
        let parts = [[UInt8]](repeating: [UInt8](repeating: 7, count: 1 << 20), count: 1024)
        while try socket.send(parts) == .wouldBlock { usleep(1000) }
        return socket
    }
}

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
    /// Bytes that only the flood brings a broker to.
    private static let much = 160 << 20

    @Test func aMessageWithoutEndCostsNobodyElseAJob() async throws {
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
        // libzmq drops the connection where it gets no memory; whatever else gets none ends the broker, and it is started again.
        var most = 0
        for _ in 0..<4000 where broker.isRunning && most < Self.much {
            most = max(most, try Self.memory(of: broker))
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(!broker.isRunning || most >= Self.much, "the flood did not get far: \(most)")
        var next = broker
        if try await !Self.lives(broker) {
            next = try BrokerProcess(world, at: endpoints, more: Self.cap)
            _ = try await next.endpoints()
        }
        _ = consume flood

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

    /// Of its own, in bytes, as the cap counts them; 0: it has ended.
    private static func memory(of broker: BrokerProcess) throws -> Int {
        let status = (try? String(contentsOfFile: "/proc/\(broker.identifier)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmData:") }
        let bytes = (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
        #expect(bytes <= 256 << 20)
        return bytes
    }

    /// Whether it is still there once it has no more than before, or has ended.
    private static func lives(_ broker: BrokerProcess) async throws -> Bool {
        for _ in 0..<4000 where try broker.isRunning && memory(of: broker) >= much {
            try await Task.sleep(for: .milliseconds(5))
        }
        return broker.isRunning
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

import Exchange
import Fabric
import Foundation
import ServiceLifecycle
import Sodium
import Synchronization
import Testing
import Trust
import Wire

@testable import Broker

@Suite(.timeLimit(.minutes(2))) struct ServiceTests {
    @Test func aJobGoesThereAndItsResultComesBack() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        let broker = try await RunningBroker(world)
        let hand = try StubWorker(world, worker, brokers: [broker.workers])
        let owner = try StubClient(world, client, brokers: [broker.clients])
        let bytes = try payload(50_000)
        let job = try owner.submit(bytes)
        #expect(try await owner.waitForResults(1))
        #expect(owner.results.first?.job == job)
        #expect(owner.results.first?.sealed == bytes.reversed())
        #expect(try await owner.events.wait { if case .ackStored(job) = $0 { true } else { false } })
        #expect(try await hand.events.wait { if case .resultStored(_, _, stale: false) = $0 { true } else { false } })
        try await owner.stop()
        try await hand.kill()
        try await broker.kill()
    }

    @Test func manyJobsOfManyClientsAreDoneOnceEach() async throws {
        let world = try World()
        let clients = try ["a", "b", "c"].map { try world.node(.client, $0) }
        let workers = try ["v", "w"].map { try world.node(.worker, $0) }
        let broker = try await RunningBroker(world)
        let hands = try workers.map { try StubWorker(world, $0, brokers: [broker.workers], slots: 32) }
        let owners = try clients.map { try StubClient(world, $0, brokers: [broker.clients]) }
        var sent: [JobID: [UInt8]] = [:]
        for round in 0..<100 {
            for owner in owners {
                let bytes = try payload(48 << 10)
                sent[try owner.submit(bytes, round.isMultiple(of: 2) ? .denoise : .publish)] = bytes
            }
        }
        for owner in owners { #expect(try await owner.waitForResults(100)) }
        for owner in owners {
            #expect(Set(owner.results.map(\.job)).count == owner.results.count)
            for (job, sealed) in owner.results { #expect(sent[job].map { $0.reversed() } == sealed) }
        }
        // Both workers had their share.
        for hand in hands { #expect(hand.events.count { if case .job = $0 { true } else { false } } > 20) }
        for owner in owners { try await owner.stop() }
        for hand in hands { try await hand.kill() }
        try await broker.kill()
    }

    @Test func aClientMayGoAwayAndFetchItsResultLater() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        let broker = try await RunningBroker(world)
        let early = try StubClient(world, client, brokers: [broker.clients])
        let job = try early.submit([1, 2, 3])
        #expect(try await early.waitForAccepted())
        try await early.stop()
        let hand = try StubWorker(world, worker, brokers: [broker.workers])
        #expect(try await hand.waitForJobs())
        let late = try StubClient(world, client, brokers: [broker.clients])
        #expect(try await late.waitForResults(1))
        #expect(late.results.first?.job == job)
        #expect(late.results.first?.sealed == [3, 2, 1])
        try await late.stop()
        try await hand.kill()
        try await broker.kill()
    }

    @Test func aWorkerThatDiesInTheMiddleIsReplaced() async throws {
        let world = try World()
        let client = try world.node(.client, "a")
        let (first, second) = (try world.node(.worker, "v"), try world.node(.worker, "w"))
        let broker = try await RunningBroker(world)
        let mortal = try StubWorker(world, first, brokers: [broker.workers], answering: false)
        let owner = try StubClient(world, client, brokers: [broker.clients])
        for number in 0..<5 { _ = try owner.submit([UInt8(number), 0]) }
        #expect(try await mortal.waitForJobs(5))
        try await mortal.kill()
        let heir = try StubWorker(world, second, brokers: [broker.workers])
        #expect(try await owner.waitForResults(5))
        #expect(Set(owner.results.map(\.sealed)) == Set((0..<5).map { [0, UInt8($0)] }))
        guard case .job(let assignment)? = heir.events.all.first(where: { if case .job = $0 { true } else { false } })
        else {
            Issue.record("no job was leased again")
            return
        }
        #expect(assignment.fence.attempt == 2)
        try await owner.stop()
        try await heir.kill()
        try await broker.kill()
    }

    @Test func aBrokerThatIsKilledAndStartedAgainLosesNoJob() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        let first = try await RunningBroker(world)
        let settings = world.settings(
            port: RunningBroker.port(first.clients), workerPort: RunningBroker.port(first.workers))
        let owner = try StubClient(world, client, brokers: [first.clients])
        for number in 0..<20 { _ = try owner.submit([UInt8(number), 0]) }
        #expect(try await owner.waitForAccepted(20))
        try await first.kill()
        let second = try await RunningBroker(world, settings: settings)
        let hand = try StubWorker(world, worker, brokers: [second.workers])
        #expect(try await owner.waitForResults(20))
        #expect(Set(owner.results.map(\.sealed)) == Set((0..<20).map { [0, UInt8($0)] }))
        #expect(owner.results.count == 20)
        try await owner.stop()
        try await hand.kill()
        try await second.kill()
    }

    @Test func aClientGoesToAnotherBrokerWhenItsOwnIsGone() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        let (first, second) = (try await RunningBroker(world), try await RunningBroker(world))
        let owner = try StubClient(world, client, brokers: [first.clients, second.clients])
        _ = try owner.submit([1, 2])
        #expect(try await owner.waitForAccepted())
        try await first.kill()
        let hand = try StubWorker(world, worker, brokers: [second.workers])
        #expect(try await owner.waitForResults(1), "\(owner.events.all) \(owner.reports.all) \(hand.events.all)")
        try await owner.stop()
        try await hand.kill()
        try await second.kill()
    }

    /// It takes its time over each event, and gets no further than its tenth result before the brisk one has all: on a slow machine too
    /// the broker has results for it all the while.
    @Test func aClientThatReadsSlowlyHoldsUpNobody() async throws {
        let world = try World()
        let (slow, brisk) = (try world.node(.client, "slow"), try world.node(.client, "brisk"))
        let worker = try world.node(.worker, "w")
        let broker = try await RunningBroker(world)
        let hand = try StubWorker(world, worker, brokers: [broker.workers])
        let mayGoOn = Mutex(false), taken = Mutex(0)
        let sloth = try StubClient(world, slow, brokers: [broker.clients]) { event in
            usleep(5_000)
            guard case .result = event,
                taken.withLock({
                    $0 += 1; return $0 > 10
                })
            else { return }
            while !mayGoOn.withLock({ $0 }) { usleep(5_000) }
        }
        let bytes = try payload(400_000)
        for _ in 0..<40 { _ = try sloth.submit(bytes) }
        #expect(try await sloth.waitForResults(1))
        let hare = try StubClient(world, brisk, brokers: [broker.clients])
        for _ in 0..<40 { _ = try hare.submit(bytes) }
        let isServed = try await hare.waitForResults(40)
        let before = sloth.results.count
        mayGoOn.withLock { $0 = true }
        #expect(isServed && before <= 10, "\(hare.results.count) beside \(before)")
        #expect(try await sloth.waitForResults(40))
        try await sloth.stop()
        try await hare.stop()
        try await hand.kill()
        try await broker.kill()
    }

    @Test func aStrangerIsTurnedAwayUntilTheRosterNamesIt() async throws {
        let world = try World()
        let broker = try await RunningBroker(world)
        let stranger = try NodeKit.generate(
            .client, name: NodeName("stranger"), in: world.folder.appending(path: "stranger"))
        var settings = LinkSettings()
        settings.longestPause = 200
        let owner = try StubClient(world, stranger, brokers: [broker.clients], settings: settings)
        #expect(try await owner.reports.wait { if case .refused = $0 { true } else { false } })
        #expect(owner.events.count { if case .welcomed = $0 { true } else { false } } == 0)
        try world.op.certify(stranger.request, now: Moment.now().wall)
        #expect(try await owner.events.wait { if case .welcomed = $0 { true } else { false } })
        try await owner.stop()
        try await broker.kill()
    }

    @Test func onShutdownEverybodyIsToldAndItEndsSoon() async throws {
        let world = try World()
        let kit = try world.node(.client, "a")
        let port = Mutex<String?>(nil)
        let broker = BrokerService(settings: world.settings(), kit: world.brokerKit, logger: quiet) { endpoints in
            port.withLock { $0 = endpoints[.client] }
        }
        let group = ServiceGroup(services: [broker], logger: quiet)
        async let end: Void = group.run()
        for _ in 0..<1000 where port.withLock({ $0 == nil }) { try await Task.sleep(for: .milliseconds(5)) }
        let address = BrokerAddress(
            endpoint: try #require(port.withLock { $0 }), key: try world.brokerKit.identity.key)
        let owner = try StubClient(world, kit, brokers: [address])
        #expect(try await owner.events.wait { if case .welcomed = $0 { true } else { false } })
        let start = ContinuousClock.now
        await group.triggerGracefulShutdown()
        try await end
        #expect(ContinuousClock.now - start < .seconds(2))
        #expect(
            try await owner.events.wait {
                if case .lost(let loss) = $0 { loss.reason.contains("going down") } else { false }
            })
        try await owner.stop()
    }

    @Test func aPortInUseIsNamed() async throws {
        let world = try World()
        let first = try await RunningBroker(world)
        let port = try #require(RunningBroker.port(first.clients))
        let error = await #expect(throws: BrokerError.self) {
            try await RunningBroker(world, settings: world.settings(port: port))
        }
        #expect(error?.code == .endpoint)
        #expect(error?.message.contains(":\(port)") == true)
        try await first.kill()
    }

    @Test func kitsThatAreNoBrokersAreRefused() async throws {
        let world = try World()
        let client = try world.node(.client, "a")
        let wrong = BrokerService(settings: world.settings(), kit: client, logger: quiet)
        #expect(await #expect(throws: BrokerError.self) { try await wrong.run() }?.code == .wrongKit)
        let uncertified = try NodeKit.generate(
            .broker, name: NodeName("other"), in: world.folder.appending(path: "other"), root: world.op.root)
        let unknown = BrokerService(settings: world.settings(), kit: uncertified, logger: quiet)
        #expect(await #expect(throws: BrokerError.self) { try await unknown.run() }?.code == .notCertified)
    }
}

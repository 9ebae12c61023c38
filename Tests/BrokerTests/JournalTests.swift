import Exchange
import Fabric
import Foundation
import Journal
import Synchronization
import Testing
import Trust
import Wire

@testable import Broker

/// Keeps everything, over several lives of a broker; can be told to fail, and to take its time.
final class KeptJournal: Sendable {
    private struct State {
        var entries: [JournalEntry] = []
        var commits = 0
        var starts: UInt64 = 0
        var isBroken = false
        var isFull = false
        var overflows = false
        var pause: UInt32 = 0
    }

    private let state = Mutex(State())
    private let broker: BrokerID

    init() {
        var random = SystemRandomNumberGenerator()
        broker = BrokerID.random(using: &random)
    }

    var entries: [JournalEntry] { state.withLock { $0.entries } }
    var commits: Int { state.withLock { $0.commits } }
    func breakDown() { state.withLock { $0.isBroken = true } }
    /// From now on nothing is stored, nor is it lost.
    func fillUp() { state.withLock { $0.isFull = true } }
    /// And as much waits as the broker lets wait.
    func overflow() { state.withLock { ($0.isFull, $0.overflows) = (true, true) } }
    func makeRoom() { state.withLock { $0.isFull = false } }
    /// From now on a commit takes so many microseconds, as one does that waits for a disk.
    func slowDown(to pause: UInt32) { state.withLock { $0.pause = pause } }

    /// As one life of a broker sees it. It stores at once.
    final class Life: JobJournal {
        private let kept: KeptJournal
        private(set) var state = JournalState()
        private var appended: UInt64 = 0
        init(_ kept: KeptJournal) { self.kept = kept }

        func start(wake: @escaping @Sendable () -> Void) throws -> Recovery {
            kept.state.withLock { state in
                state.starts += 1
                return Recovery(broker: kept.broker, bootEpoch: state.starts, entries: state.entries)
            }
        }

        func append(_ entries: [JournalEntry]) -> UInt64 {
            appended += 1
            let now = kept.state.withLock { state in
                if !state.isBroken, !state.isFull {
                    state.entries += entries
                    state.commits += 1
                }
                return state
            }
            state.isFull = now.overflows
            if now.isBroken {
                state.health = .failed(JournalError(.broken, "the disk is gone"))
            } else if now.isFull {
                state.health = .refusing(JournalError(.full, "no room"))
            } else {
                usleep(now.pause)
                state.stored = appended
            }
            return appended
        }

        func close() {}
    }
}

@Suite(.timeLimit(.minutes(1))) struct JournalTests {
    @Test func whatIsSaidToBeAcceptedIsStoredAndOutlivesTheBroker() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        let journal = KeptJournal()
        // So jobs come in while others are being stored, however slow the machine is just now.
        journal.slowDown(to: 20_000)
        let first = try await RunningBroker(world, journal: { KeptJournal.Life(journal) })
        let owner = try StubClient(world, client, brokers: [first.clients])
        let jobs = Set(try (0..<30).map { try owner.submit([UInt8($0)]) })
        for job in jobs {
            let isTold = try await owner.events.wait { if case .accepted(job) = $0 { true } else { false } }
            #expect(isTold)
        }
        let stored = journal.entries.compactMap { if case .accepted(let key, _, _) = $0 { key.job } else { nil } }
        #expect(stored.count == 30 && Set(stored) == jobs)
        // One commit for a round and not one for a job.
        #expect(journal.commits < 30)
        // The client is gone for good: from here on the broker alone remembers.
        try await owner.stop()
        try await first.kill()
        let second = try await RunningBroker(world, journal: { KeptJournal.Life(journal) })
        let hand = try StubWorker(world, worker, brokers: [second.workers])
        #expect(try await hand.waitForJobs(30))
        let late = try StubClient(world, client, brokers: [second.clients])
        #expect(try await late.waitForResults(30))
        try await late.stop()
        try await hand.kill()
        try await second.kill()
    }

    @Test func aFullDiskKeepsNobodyFromResultsThatAreStored() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        let journal = KeptJournal()
        let broker = try await RunningBroker(world, journal: { KeptJournal.Life(journal) })
        let owner = try StubClient(world, client, brokers: [broker.clients])
        // More than are under way at a time: the later ones come once the earlier are acknowledged.
        let count = 2 * BrokerConfiguration().resultWindow + 1
        for number in 0..<count { _ = try owner.submit([UInt8(number)]) }
        for number in 0..<count {
            let isTold = try await owner.events.wait { _ in
                owner.events.count { if case .accepted = $0 { true } else { false } } > number
            }
            #expect(isTold)
        }
        try await owner.stop()
        let hand = try StubWorker(world, worker, brokers: [broker.workers])
        #expect(try await hand.waitForJobs(count))
        while journal.entries.count(where: { if case .finished = $0 { true } else { false } }) < count {
            try await Task.sleep(for: .milliseconds(5))
        }
        journal.fillUp()
        let late = try StubClient(world, client, brokers: [broker.clients])
        #expect(try await late.waitForResults(count))
        try await late.stop()
        try await hand.kill()
        try await broker.kill()
    }

    /// No result waits for a disk. If the broker crashes before one is stored, its worker says it again or the job is done once more,
    /// and its client has it all the same, once.
    @Test func aResultLeavesBeforeItIsStoredAndACrashSurfacesNoOther() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        let journal = KeptJournal()
        let first = try await RunningBroker(world, journal: { KeptJournal.Life(journal) })
        let owner = try StubClient(world, client, brokers: [first.clients])
        let jobs = Set(try (0..<10).map { try owner.submit([UInt8($0)]) })
        #expect(try await owner.waitForAccepted(10))
        journal.fillUp()
        let hand = try StubWorker(world, worker, brokers: [first.workers])
        #expect(try await owner.waitForResults(10))
        #expect(journal.entries.allSatisfy { if case .accepted = $0 { true } else { false } })
        #expect(owner.events.count { if case .ackStored = $0 { true } else { false } } == 0)
        try await first.kill()
        try await hand.kill()
        journal.makeRoom()
        // The same ports: the client comes back by itself, and says that it has the results.
        let second = try await RunningBroker(
            world,
            settings: world.settings(
                port: RunningBroker.port(first.clients), workerPort: RunningBroker.port(first.workers)),
            journal: { KeptJournal.Life(journal) })
        let other = try StubWorker(world, worker, brokers: [second.workers])
        for job in jobs {
            let isOver = try await owner.events.wait { if case .ackStored(job) = $0 { true } else { false } }
            #expect(isOver)
        }
        #expect(owner.events.count { if case .result = $0 { true } else { false } } == 10)
        try await owner.stop()
        try await other.kill()
        try await second.kill()
    }

    /// A broker that waits for its disk hears nobody, and its clock stands still.
    @Test func aDrainEndsInTimeThoughTheDiskStandsStill() async throws {
        let world = try World()
        let client = try world.node(.client, "a")
        let journal = KeptJournal()
        let (drains, drain) = AsyncStream.makeStream(of: Void.self)
        var settings = world.settings()
        settings.drainLimit = 1
        let broker = try await RunningBroker(
            world, settings: settings, journal: { KeptJournal.Life(journal) }, drains: drains)
        let owner = try StubClient(world, client, brokers: [broker.clients])
        _ = try owner.submit([1])
        #expect(try await owner.waitForAccepted())
        journal.overflow()
        _ = try owner.submit([2])
        try await Task.sleep(for: .milliseconds(200))
        drain.yield()
        try await broker.end.get()
        #expect(journal.entries.count == 1)
        try await owner.stop()
    }

    @Test func aJournalThatFailsEndsTheBrokerBeforeItClaimsAnything() async throws {
        let world = try World()
        let client = try world.node(.client, "a")
        let journal = KeptJournal()
        let broker = try await RunningBroker(world, journal: { KeptJournal.Life(journal) })
        let owner = try StubClient(world, client, brokers: [broker.clients])
        #expect(try await owner.events.wait { if case .welcomed = $0 { true } else { false } })
        journal.breakDown()
        _ = try owner.submit([1])
        let end = await broker.end
        #expect(#expect(throws: BrokerError.self) { try end.get() }?.code == .storage)
        #expect(owner.events.count { if case .accepted = $0 { true } else { false } } == 0)
        try await owner.stop()
    }
}

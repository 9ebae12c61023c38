import Exchange
import Fabric
import Foundation
import Testing
import Trust
import Wire

/// A real broker process on a real file, killed with SIGKILL in the middle of its work.
@Suite(.serialized, .timeLimit(.minutes(2))) struct KilledBrokerTests {
    @Test func whatWasAcceptedIsThereAfterKillsThoughItsClientIsGone() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        var broker = try BrokerProcess(world)
        let endpoints = try await broker.endpoints()
        let hand = try StubWorker(world, worker, brokers: [broker.address(endpoints.workers)], slots: 8)
        var accepted: Set<JobID> = []
        var sent: [JobID: [UInt8]] = [:]
        for round in 0..<3 {
            // It knows nothing of the rounds before and submits nothing twice: the broker alone remembers.
            let owner = try StubClient(
                world, client, brokers: [broker.address(endpoints.clients)], acknowledging: false)
            for _ in 0..<60 {
                let bytes = try payload(20_000)
                sent[try owner.submit(bytes)] = bytes
            }
            #expect(try await owner.waitForAccepted(20 + 10 * round), "\(broker.output)")
            broker.kill()
            accepted.formUnion(
                owner.events.all.compactMap { if case .accepted(let job) = $0 { job } else { nil } })
            try await owner.stop()
            broker = try BrokerProcess(world, at: endpoints)
            _ = try await broker.endpoints()
        }
        #expect(broker.output.contains("Recovered"), "\(broker.output)")
        let late = try StubClient(world, client, brokers: [broker.address(endpoints.clients)])
        for _ in 0..<4000 where !accepted.isSubset(of: late.results.map(\.job)) {
            try await Task.sleep(for: .milliseconds(5))
        }
        let results = late.results
        #expect(accepted.count >= 90)
        #expect(accepted.subtracting(results.map(\.job)) == [], "lost")
        #expect(Set(results.map(\.job)).count == results.count, "surfaced twice")
        #expect(results.allSatisfy { sent[$0.job].map { $0.reversed() } == $0.sealed })
        try await late.stop()
        try await hand.kill()
        #expect(try await broker.end() == 0)
    }

    @Test func oneClientThroughAllKillsSurfacesEachResultOnceAndNothingIsLeft() async throws {
        let world = try World()
        let (client, worker) = (try world.node(.client, "a"), try world.node(.worker, "w"))
        var broker = try BrokerProcess(world)
        let endpoints = try await broker.endpoints()
        var settings = LinkSettings()
        settings.longestPause = 200
        let hand = try StubWorker(world, worker, brokers: [broker.address(endpoints.workers)], slots: 8)
        let owner = try StubClient(
            world, client, brokers: [broker.address(endpoints.clients)], settings: settings)
        var sent: Set<JobID> = []
        for round in 1...3 {
            for _ in 0..<50 { sent.insert(try owner.submit(try payload(20_000))) }
            #expect(try await owner.waitForResults(round * 25))
            broker.kill()
            broker = try BrokerProcess(world, at: endpoints)
            _ = try await broker.endpoints()
        }
        #expect(try await owner.waitForResults(sent.count), "\(broker.output)")
        #expect(
            try await owner.events.wait(for: sent.count) { if case .ackStored = $0 { true } else { false } })
        #expect(Set(owner.results.map(\.job)) == sent && owner.results.count == sent.count)
        try await owner.stop()
        try await hand.kill()
        #expect(try await broker.end() == 0)
        // What is over is remembered, and nothing waits.
        let last = try BrokerProcess(world, at: endpoints)
        _ = try await last.endpoints()
        let line = last.output.split(separator: "\n").first { $0.contains("Recovered") } ?? ""
        for word in ["queued=0", "leased=0", "mailbox=0", "dead=0", "over=\(sent.count)"] {
            #expect(line.contains(word), "\(last.output)")
        }
        #expect(try await last.end() == 0)
    }

    @Test func aSecondBrokerOnTheSameJournalIsRefused() async throws {
        let world = try World()
        let first = try BrokerProcess(world)
        _ = try await first.endpoints()
        let second = try BrokerProcess(world)
        #expect(try await second.end(asked: false) != 0)
        #expect(second.output.contains("is in use by process \(first.identifier)"), "\(second.output)")
        #expect(try await first.end() == 0)
        // A lock goes with its process.
        let third = try BrokerProcess(world)
        _ = try await third.endpoints()
        #expect(try await third.end() == 0)
    }
}

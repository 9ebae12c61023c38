import Exchange
import Testing
import Wire

@testable import Simulation

@Suite struct JournalTests {
    private static let key = JobKey(client: identifier(1), job: identifier(2))

    private static func accepted(_ job: Int) -> JournalEntry {
        .accepted(JobKey(client: identifier(1), job: identifier(job)), envelope: [1, 2, 3], sealed: [4, 5])
    }

    @Test func entriesReadBack() {
        let entries: [JournalEntry] = [
            .accepted(Self.key, envelope: [1, 2], sealed: []), .attempted(Self.key, attempt: 7, epoch: 3),
            .suspected(Self.key, crashes: 2),
            .finished(Self.key, header: [3], sealed: [4, 5], keptUntil: -9), .acknowledged(Self.key),
            .ended(Self.key, code: .expired), .forgotten(Self.key),
        ]
        var reader = EntryReader(bytes: entries.flatMap(\.bytes))
        var read: [JournalEntry] = []
        while let entry = reader.next() { read.append(entry) }
        #expect(read.map(\.bytes) == entries.map(\.bytes))
        guard case .finished(_, let header, let sealed, let keptUntil) = read[3] else {
            Issue.record("not a finished job")
            return
        }
        #expect(header == [3] && sealed == [4, 5] && keptUntil == -9)
    }

    /// Whatever a loss of power leaves of the last batches, those that were synced are there, in order and whole.
    @Test func whatWasSyncedSurvives() throws {
        var random = SplitMix64(seed: 9)
        for _ in 0..<200 {
            var journal = SimulatedJournal()
            #expect(journal.recover(keepsTornTail: false).isEmpty)
            var synced = 0
            for job in 0..<(1 + random.below(6)) {
                _ = journal.append([Self.accepted(2 * job), Self.accepted(2 * job + 1)], wall: 0)
                if random.chance(0.6) {
                    try journal.write()
                    synced += try journal.sync().count
                }
            }
            if !journal.isWriting { try journal.write() }
            journal.crash(losesPower: true, &random)
            let batches = journal.recover(keepsTornTail: false)
            #expect(batches.count >= synced)
            #expect(batches.map(\.number) == Array(1..<UInt64(batches.count + 1)))
            #expect(batches.allSatisfy { $0.entries.count == 2 })
            // And what is written behind it is found at the next start.
            _ = journal.append([Self.accepted(99)], wall: 0)
            try journal.write()
            _ = try journal.sync()
            #expect(journal.recover(keepsTornTail: false).count == batches.count + 1)
        }
    }

    @Test func aFailedSyncPromisesNothing() throws {
        var journal = SimulatedJournal()
        _ = journal.recover(keepsTornTail: false)
        _ = journal.append([Self.accepted(1)], wall: 0)
        journal.disk.failsNextSync = true
        try journal.write()
        #expect(throws: VirtualDisk.Failure.lost) { try journal.sync() }
    }
}

import Dispatch
import Exchange
import Foundation
import Synchronization
import Testing
import Wire

@testable import Journal

/// The thread between a broker and a disk, on a disk that does as it is told.
@Suite(.timeLimit(.minutes(1))) struct DurableJournalTests {
    /// What the disk does with the next commits, and what it was given.
    private final class Disk: Sendable {
        struct State {
            var answers: [JournalError?] = []
            var shortage: JournalError?
            var batches: [Int] = []
            var isAtWork = false
        }

        let state = Mutex(State())
        /// Each commit waits for one.
        let permits = DispatchSemaphore(value: 0)
        let isPaced: Bool

        init(paced: Bool = false, answers: [JournalError?] = []) {
            isPaced = paced
            state.withLock { $0.answers = answers }
        }

        var batches: [Int] { state.withLock { $0.batches } }
        var isAtWork: Bool { state.withLock { $0.isAtWork } }

        func journal(mostWaiting: Int = 1 << 20) -> DurableJournal {
            DurableJournal(mostWaiting: mostWaiting) { [self] () throws(JournalError) in Store(self) }
        }
    }

    private final class Store: JournalStore {
        private let disk: Disk
        init(_ disk: Disk) { self.disk = disk }

        func recover() -> Recovery {
            Recovery(broker: BrokerID([UInt8](repeating: 1, count: 16))!, bootEpoch: 1, entries: [])
        }

        func commit(_ entries: [JournalEntry]) throws(JournalError) -> Int {
            disk.state.withLock { $0.isAtWork = true }
            if disk.isPaced { disk.permits.wait() }
            let error: JournalError? = disk.state.withLock { state in
                if !state.answers.isEmpty, let error = state.answers.removeFirst() { return error }
                state.batches.append(entries.count)
                return nil
            }
            if let error { throw error }
            return entries.count
        }

        func shortage() -> JournalError? { disk.state.withLock { $0.shortage } }
    }

    private func wait(_ journal: DurableJournal, until isSo: (JournalState) -> Bool) async throws -> Bool {
        for _ in 0..<4000 {
            if isSo(journal.state) { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    private static func isRefusing(_ state: JournalState) -> Bool {
        if case .refusing = state.health { true } else { false }
    }

    @Test func whatGathersDuringACommitSharesTheNext() async throws {
        let disk = Disk(paced: true)
        let journal = disk.journal()
        let woken = Mutex(0)
        _ = try journal.start { woken.withLock { $0 += 1 } }
        #expect(journal.append([Scene.accepted(1)]) == 1)
        // It has begun when the disk is at it: what comes now cannot join it any more.
        for _ in 0..<4000 where !disk.isAtWork { try await Task.sleep(for: .milliseconds(5)) }
        #expect((2...6).map { journal.append([Scene.accepted($0), Scene.finished($0)]) } == [2, 3, 4, 5, 6])
        #expect(journal.state.stored == 0)
        disk.permits.signal()
        #expect(try await wait(journal) { $0.stored == 1 })
        disk.permits.signal()
        #expect(try await wait(journal) { $0.stored == 6 })
        #expect(disk.batches == [1, 10])
        #expect(woken.withLock { $0 } == 2)
        journal.close()
    }

    @Test func whatNobodyWaitsForGoesWithTheNextOrByItself() async throws {
        let disk = Disk(paced: true)
        let journal = disk.journal()
        _ = try journal.start {}
        // However late each is: the first to come is begun with, and what was appended until then goes with it.
        for number in 1...3 { _ = journal.append([.acknowledged(Scene.key(number))]) }
        _ = journal.append([Scene.accepted(4)])
        _ = journal.append([.forgotten(Scene.key(1))])
        for _ in 0..<4 { disk.permits.signal() }
        #expect(try await wait(journal) { $0.stored == 5 })
        #expect(disk.batches.reduce(0, +) == 5)
        journal.close()
    }

    @Test func aFullDiskIsTriedUntilThereIsRoomAndNothingIsSaidToBeStoredBefore() async throws {
        let full = JournalError(.full, "no room")
        let disk = Disk(paced: true, answers: [full, full])
        let journal = disk.journal()
        _ = try journal.start {}
        _ = journal.append([Scene.accepted(1)])
        // The disk is full until the test lets it go on, however late the test gets to look.
        disk.permits.signal()
        #expect(try await wait(journal, until: Self.isRefusing))
        #expect(journal.state.stored == 0)
        for _ in 0..<2 { disk.permits.signal() }
        #expect(try await wait(journal) { $0.stored == 1 && !Self.isRefusing($0) })
        #expect(disk.batches == [1])
        #expect(journal.state.figures.failures == 2)
        journal.close()
    }

    @Test func aFailedFlushIsFinal() async throws {
        let disk = Disk(answers: [JournalError(.broken, "the disk is gone")])
        let journal = disk.journal()
        _ = try journal.start {}
        _ = journal.append([Scene.accepted(1)])
        #expect(try await wait(journal) { if case .failed = $0.health { true } else { false } })
        _ = journal.append([Scene.accepted(2)])
        journal.close()
        #expect(journal.state.stored == 0 && disk.batches.isEmpty)
    }

    @Test func aShortageIsToldAndItsEndToo() async throws {
        let disk = Disk()
        disk.state.withLock { $0.shortage = JournalError(.full, "little room") }
        let journal = disk.journal()
        _ = try journal.start {}
        #expect(Self.isRefusing(journal.state))
        // What is under way is stored all the same.
        _ = journal.append([Scene.accepted(1)])
        #expect(try await wait(journal) { $0.stored == 1 })
        #expect(Self.isRefusing(journal.state))
        disk.state.withLock { $0.shortage = nil }
        #expect(try await wait(journal) { !Self.isRefusing($0) })
        journal.close()
    }

    @Test func itSaysWhenTooMuchWaits() async throws {
        let disk = Disk(paced: true)
        let journal = disk.journal(mostWaiting: 10_000)
        _ = try journal.start {}
        _ = journal.append([Scene.accepted(1, bytes: 6_000)])
        #expect(!journal.state.isFull)
        _ = journal.append([Scene.accepted(2, bytes: 6_000)])
        #expect(journal.state.isFull)
        for _ in 0..<2 { disk.permits.signal() }
        #expect(try await wait(journal) { $0.stored == 2 && !$0.isFull })
        journal.close()
    }

    @Test func closingStoresWhatWaits() throws {
        let scene = try Scene()
        let journal = DurableJournal { [file = scene.file] () throws(JournalError) in try SQLiteStore(file) }
        _ = try journal.start {}
        for number in 0..<200 { _ = journal.append([Scene.accepted(number)]) }
        journal.close()
        #expect(journal.state.stored == 200)
        #expect(try scene.recover().text == (0..<200).map { "\(Scene.accepted($0))" })
    }
}

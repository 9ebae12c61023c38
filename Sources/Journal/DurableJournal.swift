internal import Dispatch
package import Exchange
internal import Foundation
internal import Synchronization
internal import Wire

/// Group commit: a thread of its own takes whatever entries gathered while it made the last commit and stores them with
/// one commit, so that a slow disk makes commits larger and not the broker's loop slower.
///
///     broker's thread    append 1  append 2  append 3 …       stored ≥ 3: what claims 1…3 is said
///     journal's thread   └ commit (1) ────┘└ commit (2, 3) ──┘└ wake
///
/// What hardly anybody stands still for, such as that a client has its result, begins no commit of its own: it goes with the next, or after
/// some milliseconds. That a job was accepted is such a thing too, and that it is done, since its first attempt and its result have left already.
///
/// A commit that fails for want of space is tried again until it succeeds, with all that was appended since behind it; the
/// state says so meanwhile. Any other failure is final: after a failed fsync nobody knows what is on the disk.
package final class DurableJournal: JobJournal {
    package typealias OpenStore = @Sendable () throws(JournalError) -> any JournalStore

    private let committer: Committer
    private let openStore: OpenStore
    private var isClosed = false

    /// - Parameters:
    ///   - openStore: called on the journal's thread.
    ///   - mostWaiting: bytes of entries that may wait before the state says `isFull`.
    package init(mostWaiting: Int = 32 << 20, openStore: @escaping OpenStore) {
        committer = Committer(mostWaiting: mostWaiting)
        self.openStore = openStore
    }

    deinit { close() }

    package func start(wake: @escaping @Sendable () -> Void) throws -> Recovery {
        let recovered = Handover<Result<Recovery, JournalError>>()
        let thread = Thread { [committer, openStore] in
            Thread.current.name = "journal"
            committer.run(openStore, recovered, wake)
        }
        thread.stackSize = 1 << 20
        thread.start()
        return try recovered.take().get()
    }

    package func append(_ entries: [JournalEntry]) -> UInt64 { committer.append(entries) }

    package var state: JournalState { committer.readState() }

    package func close() {
        guard !isClosed else { return }
        isClosed = true
        committer.close(within: .seconds(2))
    }
}

/// A value that one thread waits for and another gives.
private final class Handover<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let given = DispatchSemaphore(value: 0)

    func give(_ value: Value) {
        self.value.withLock { $0 = value }
        given.signal()
    }

    func take() -> Value {
        while true {
            given.wait()
            if let value = value.withLock({ $0 }) { return value }
        }
    }
}

/// The queue between the two threads, and the journal's loop.
private final class Committer: Sendable {
    private struct Queue {
        var entries: [JournalEntry] = []
        /// Until when the next commit may wait for company.
        var due = DispatchTime.distantFuture
        /// Of `entries`, and of those that are being stored.
        var waiting = 0
        var storing = 0
        /// Number of the newest entries.
        var appended: UInt64 = 0
        var isClosing = false
        var isOver = true
        var state = JournalState()
    }

    /// How long it waits before it tries again what may pass.
    private static let pause = DispatchTimeInterval.milliseconds(250)
    private let queue = Mutex(Queue())
    private let work = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let mostWaiting: Int

    init(mostWaiting: Int) { self.mostWaiting = mostWaiting }

    // MARK: the broker's side

    func append(_ entries: [JournalEntry]) -> UInt64 {
        let bytes = entries.reduce(0) { $0 + $1.weight }
        let now = DispatchTime.now(), due = now + .milliseconds(entries.map(\.patience).min() ?? 0)
        let (number, isSooner) = queue.withLock { queue in
            // To whom it is due already, nothing new is to be told.
            let isSooner = due < queue.due && queue.due > now
            queue.due = min(queue.due, due)
            queue.entries += entries
            queue.waiting += bytes
            queue.appended += 1
            return (queue.appended, isSooner)
        }
        if isSooner { work.signal() }
        return number
    }

    func readState() -> JournalState {
        queue.withLock { queue in
            var state = queue.state
            state.isFull = queue.waiting + queue.storing > mostWaiting
            return state
        }
    }

    func close(within time: DispatchTimeInterval) {
        let isOver = queue.withLock { queue in
            queue.isClosing = true
            return queue.isOver
        }
        work.signal()
        if !isOver { _ = ended.wait(timeout: .now() + time) }
    }

    // MARK: the journal's thread

    func run(
        _ openStore: DurableJournal.OpenStore, _ recovered: Handover<Result<Recovery, JournalError>>,
        _ wake: @Sendable () -> Void
    ) {
        queue.withLock { $0.isOver = false }
        do throws(JournalError) {
            let store = try openStore()
            let recovery = try store.recover()
            noteRoom(store)
            recovered.give(.success(recovery))
            commitAll(to: store, wake)
        } catch {
            recovered.give(.failure(error))
        }
        // The store is closed and its lock let go.
        queue.withLock { $0.isOver = true }
        ended.signal()
    }

    private func commitAll(to store: any JournalStore, _ wake: @Sendable () -> Void) {
        while let batch = nextBatch(store, wake) {
            while true {
                let start = ContinuousClock.now
                let written: Int
                do throws(JournalError) { written = try store.commit(batch.entries) } catch {
                    let mayPass = error.mayPass
                    let isClosing = queue.withLock { queue in
                        queue.state.figures.failures += 1
                        queue.state.health = mayPass ? .refusing(error) : .failed(error)
                        return queue.isClosing
                    }
                    wake()
                    guard mayPass, !isClosing else { return }
                    _ = work.wait(timeout: .now() + Self.pause)
                    continue
                }
                note(batch, written, took: ContinuousClock.now - start)
                noteRoom(store)
                wake()
                break
            }
        }
    }

    private struct Batch {
        let entries: [JournalEntry]
        let number: UInt64
    }

    /// Waits for something to store.
    ///
    /// - Returns: nil when it is closed and nothing is left.
    private func nextBatch(_ store: any JournalStore, _ wake: @Sendable () -> Void) -> Batch? {
        while true {
            let (batch, due, isClosing, isSound) = queue.withLock { queue -> (Batch?, DispatchTime, Bool, Bool) in
                let isSound = if case .sound = queue.state.health { true } else { false }
                guard !queue.entries.isEmpty, queue.isClosing || queue.due <= .now() else {
                    return (nil, queue.due, queue.isClosing, isSound)
                }
                let batch = Batch(entries: queue.entries, number: queue.appended)
                queue.entries = []
                queue.due = .distantFuture
                queue.storing = queue.waiting
                queue.waiting = 0
                return (batch, queue.due, queue.isClosing, isSound)
            }
            if let batch { return batch }
            if isClosing { return nil }
            if isSound {
                _ = work.wait(timeout: due)
            } else if work.wait(timeout: min(due, .now() + Self.pause)) == .timedOut, noteRoom(store) {
                wake()
            }
        }
    }

    private func note(_ batch: Batch, _ written: Int, took time: Duration) {
        let seconds = time / .seconds(1)
        queue.withLock { queue in
            queue.storing = 0
            queue.state.stored = batch.number
            queue.state.figures.commits += 1
            queue.state.figures.entries += batch.entries.count
            queue.state.figures.bytes += written
            queue.state.figures.seconds += seconds
            queue.state.figures.longest = max(queue.state.figures.longest, seconds)
        }
    }

    /// - Returns: whether there is room.
    @discardableResult private func noteRoom(_ store: any JournalStore) -> Bool {
        let shortage = store.shortage()
        queue.withLock { $0.state.health = shortage.map { .refusing($0) } ?? .sound }
        return shortage == nil
    }
}

extension JournalEntry {
    /// For how long it may wait for company, in milliseconds.
    fileprivate var patience: Int {
        switch self {
        case .suspected, .ended: 0
        // A first attempt and a result leave before they are stored: see `CommitBarrier`.
        case .attempted(_, let attempt, _): attempt > 1 ? 0 : 5
        case .accepted, .finished: 2
        case .acknowledged, .forgotten: 5
        }
    }

    /// What it weighs while it waits to be stored, in bytes.
    var weight: Int {
        switch self {
        case .accepted(_, let envelope, let sealed): 128 + envelope.count + sealed.count
        case .finished(_, let header, let sealed, _): 128 + header.count + sealed.count
        case .attempted, .suspected, .acknowledged, .ended, .forgotten: 128
        }
    }
}

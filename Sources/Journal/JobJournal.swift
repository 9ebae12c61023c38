package import Exchange
package import Wire

/// Where a broker keeps what it must not forget: the seam between the broker's decisions and a disk.
///
///     let recovery = try journal.start { wakeUp.signal() }
///     let number = journal.append(entries)     // returns at once
///     journal.state.stored >= number           // some time after: nothing is claimed before
///     journal.close()
///
/// It is used on the broker's thread alone, and never waits for a disk between `start` and `close`.
package protocol JobJournal: AnyObject {
    /// What is known from before, and who this broker is; counts the start. Called once, before anything else.
    ///
    /// - Parameter wake: called from any thread when `state` has changed.
    /// - Throws: `JournalError`
    func start(wake: @escaping @Sendable () -> Void) throws -> Recovery

    /// Takes entries to be stored, all or none, after all that were taken before.
    ///
    /// - Returns: the number under which `state.stored` will count them; one more each time.
    func append(_ entries: [JournalEntry]) -> UInt64

    var state: JournalState { get }

    /// Stores what it was given, if it can within two seconds, and ends. Nothing is appended afterwards.
    func close()
}

package struct JournalState: Sendable {
    package enum Health: Sendable {
        case sound
        /// Nothing can be stored now, or not for long: no new jobs should be taken. It tries on by itself.
        case refusing(JournalError)
        /// Nothing will be stored any more: the broker cannot keep its word, and has to end.
        case failed(JournalError)
    }

    /// All entries up to this number survive whatever a journal of its kind promises to survive.
    package var stored: UInt64 = 0
    package var health = Health.sound
    /// So much waits to be stored that nothing more should be taken in until less does.
    package var isFull = false
    package var figures = JournalFigures()

    package init() {}
}

/// Since the start.
package struct JournalFigures: Hashable, Sendable {
    package var commits = 0
    package var entries = 0
    /// Of payloads and results that were written: not of what came and went between two commits.
    package var bytes = 0
    /// All commits together, and the longest.
    package var seconds = 0.0
    package var longest = 0.0
    package var failures = 0

    package init() {}
}

package struct Recovery: Sendable {
    /// The same at every start from one journal.
    package let broker: BrokerID
    /// One more at every start from one journal: results of attempts before it are told apart by it.
    package let bootEpoch: UInt64
    /// They add up to what was stored. Jobs stand in the order in which they were accepted.
    package let entries: [JournalEntry]

    package init(broker: BrokerID, bootEpoch: UInt64, entries: [JournalEntry]) {
        self.broker = broker
        self.bootEpoch = bootEpoch
        self.entries = entries
    }
}

/// Keeps nothing: the jobs live in the broker's memory and end with its process. Every start is a new broker; clients,
/// who own their jobs until they have the results, submit them again.
package final class VolatileJournal: JobJournal {
    private var random: any RandomNumberGenerator
    package private(set) var state = JournalState()

    package init(random: any RandomNumberGenerator) {
        self.random = random
    }

    package func start(wake: @escaping @Sendable () -> Void) -> Recovery {
        Recovery(broker: BrokerID.random(using: &random), bootEpoch: 1, entries: [])
    }

    package func append(_ entries: [JournalEntry]) -> UInt64 {
        state.stored += 1
        return state.stored
    }

    package func close() {}
}

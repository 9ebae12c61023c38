package import Exchange
package import Wire

/// Where a broker keeps what it must not forget: the seam between the broker's decisions and a disk.
///
/// It is used on the broker's thread alone. The barrier: what `commit` has returned from survives whatever a journal of
/// its kind promises to survive, and only then is anything said that depends on it.
package protocol Journal: AnyObject {
    /// What is known from before, and who this broker is; counts the start. Called once, before anything else.
    func recover() throws -> Recovery

    /// Stores all entries or none. A failure ends the broker: it cannot keep its word any more.
    func commit(_ entries: [JournalEntry]) throws
}

package struct Recovery: Sendable {
    /// The same at every start from one journal.
    package let broker: BrokerID
    /// One more at every start from one journal: results of attempts before it are told apart by it.
    package let bootEpoch: UInt64
    /// In the order in which they were committed.
    package let entries: [JournalEntry]

    package init(broker: BrokerID, bootEpoch: UInt64, entries: [JournalEntry]) {
        self.broker = broker
        self.bootEpoch = bootEpoch
        self.entries = entries
    }
}

/// Keeps nothing: the jobs live in the broker's memory and end with its process. Every start is a new broker; clients,
/// who own their jobs until they have the results, submit them again.
package final class VolatileJournal: Journal {
    private var random: any RandomNumberGenerator

    package init(random: any RandomNumberGenerator) {
        self.random = random
    }

    package func recover() -> Recovery {
        Recovery(broker: BrokerID.random(using: &random), bootEpoch: 1, entries: [])
    }

    package func commit(_ entries: [JournalEntry]) {}
}

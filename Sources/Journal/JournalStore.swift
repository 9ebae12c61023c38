package import Exchange

/// A disk that a `DurableJournal` writes to: every call waits for it. It belongs to the journal's thread.
package protocol JournalStore: AnyObject {
    /// What is known from before, and who this broker is; the start is counted and stored before it returns.
    func recover() throws(JournalError) -> Recovery

    /// Stores all entries or none. On return they survive a loss of power.
    ///
    /// - Returns: bytes of payloads and results that were written: not of what came and went within these entries.
    /// - Throws: an error that `mayPass` when the same call may be made again.
    @discardableResult func commit(_ entries: [JournalEntry]) throws(JournalError) -> Int

    /// Why no new jobs should be taken though it can still write; nil: there is room.
    func shortage() -> JournalError?
}

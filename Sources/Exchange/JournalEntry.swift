package import Wire

/// A change of what the broker must remember over a restart. The entries in their order are the truth; the broker's
/// state is what they add up to. A journal may leave out the sealed bytes of a job that was acknowledged or ended otherwise
/// than as a dead letter, and everything of a job that was forgotten.
package enum JournalEntry: Sendable {
    case accepted(JobKey, envelope: [UInt8], sealed: [UInt8])
    /// `epoch`: the boot epoch in which it was leased; with `attempt` it is the fence.
    case attempted(JobKey, attempt: UInt32, epoch: UInt64)
    /// Its worker was lost, or a pass with it failed: it runs alone from now on. `crashes`: how often that was while it did.
    case suspected(JobKey, crashes: Int)
    /// Unix time in milliseconds after which the result is not kept any longer.
    case finished(JobKey, header: [UInt8], sealed: [UInt8], keptUntil: Int64)
    case acknowledged(JobKey)
    /// Over without a result: cancelled, expired, a dead letter.
    case ended(JobKey, code: WireCode)
    /// The tombstone is not needed any more.
    case forgotten(JobKey)

    package var key: JobKey {
        switch self {
        case .accepted(let key, _, _), .attempted(let key, _, _), .suspected(let key, _), .finished(let key, _, _, _),
            .acknowledged(let key), .ended(let key, _), .forgotten(let key):
            key
        }
    }
}

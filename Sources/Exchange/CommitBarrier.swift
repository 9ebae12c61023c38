internal import DequeModule
internal import Wire

/// Holds back what depends on entries that are not stored yet, so that a broker can go on deciding while its disk writes.
///
/// Entries are handed to the journal in batches that are numbered; everything decided since depends on the newest number,
/// and is let go when the journal has stored it. What claims nothing (see `claimsNothing`) goes at once, unless its
/// connection has something held: the messages of a connection keep their order.
///
///     let number = journal.append(entries)
///     for action in barrier.pass(round, after: number, stored: journal.stored) { carryOut(action) }
///     …
///     for action in barrier.release(stored: journal.stored) { carryOut(action) }
package struct CommitBarrier: Sendable {
    private var held: Deque<(number: UInt64, action: BrokerAction)> = []
    private var heldBy: [ConnectionID: Int] = [:]

    package init() {}

    package var count: Int { held.count }

    /// What of a round may be done now, in its order; the rest is held. `append`s are left out: they are the journal's.
    ///
    /// - Parameters:
    ///   - number: of the newest entries, this round's included.
    ///   - stored: up to where the journal has stored.
    package mutating func pass(_ round: [BrokerAction], after number: UInt64, stored: UInt64) -> [BrokerAction] {
        let mustWait = stored < number
        return round.filter { action in
            guard let connection = action.connection else { return false }
            if heldBy[connection] == nil, !mustWait || action.claimsNothing { return true }
            held.append((number, action))
            heldBy[connection, default: 0] += 1
            return false
        }
    }

    /// What may be done now that the journal has stored so much. To be asked before `pass` is.
    package mutating func release(stored: UInt64) -> [BrokerAction] {
        var released: [BrokerAction] = []
        while let first = held.first, first.number <= stored {
            held.removeFirst()
            released.append(first.action)
            guard let connection = first.action.connection, let count = heldBy[connection] else { continue }
            heldBy[connection] = count > 1 ? count - 1 : nil
        }
        return released
    }
}

extension BrokerAction {
    var connection: ConnectionID? {
        switch self {
        case .append: nil
        case .send(_, let connection), .drop(let connection): connection
        }
    }

    /// Whether it would be no lie if the broker crashed and forgot what it has not stored.
    var claimsNothing: Bool {
        guard case .send(let frames, _) = self else { return true }
        return switch frames.control.body {
        case .challenge, .welcome, .ping, .pong, .keys, .rejected, .preview, .credit, .drain, .bye: true
        // There is no earlier attempt that it could be mistaken for. If it is forgotten, so is its fence: another first attempt is
        // of a later epoch, and the result of this one is stale.
        case .job(let job): job.job.fence.attempt == 1
        default: false
        }
    }
}

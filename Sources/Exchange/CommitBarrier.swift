internal import DequeModule
internal import Wire

/// Holds back what depends on entries that are not stored yet, so that a broker can go on deciding while its disk writes.
///
/// Entries are handed to the journal in batches that are numbered; everything decided since depends on the newest number,
/// and is let go when the journal has stored it. What claims nothing (see `claimsNothing`) goes at once, unless its
/// connection has something held: the messages of a connection keep their order. Only what somebody waits for, a first attempt, a
/// result and a PONG, overtakes what is held, and takes the number of the first message that waits: who has one job after another
/// would otherwise get each only after the one before was stored.
///
///     let number = journal.append(entries)
///     for action in barrier.pass(round, after: number, stored: journal.stored) { carryOut(action) }
///     …
///     for action in barrier.release(stored: journal.stored) { carryOut(action) }
package struct CommitBarrier: Sendable {
    private struct Line {
        var held = 0
        /// The number of the next message that leaves; nil: what is held begins with the end of a session.
        var next: UInt64?
        /// Its session ends among what is held, so nothing belongs before that any more.
        var ends = false
    }

    private var held: Deque<(number: UInt64, action: BrokerAction)> = []
    private var lines: [ConnectionID: Line] = [:]

    package init() {}

    package var count: Int { held.count }

    /// What of a round may be done now, in its order; the rest is held. `append`s are left out: they are the journal's.
    ///
    /// - Parameters:
    ///   - number: of the newest entries, this round's included.
    ///   - stored: up to where the journal has stored.
    package mutating func pass(_ round: [BrokerAction], after number: UInt64, stored: UInt64) -> [BrokerAction] {
        let mustWait = stored < number
        return round.compactMap { action in
            guard let connection = action.connection else { return nil }
            guard var line = lines[connection] else {
                if !mustWait || action.claimsNothing { return action }
                hold(action, number, Line(next: action.sequence), connection)
                return nil
            }
            if action.overtakes, !line.ends, let next = line.next {
                line.next = next + 1
                lines[connection] = line
                return action.numbered(next)
            }
            hold(action, number, line, connection)
            return nil
        }
    }

    private mutating func hold(_ action: BrokerAction, _ number: UInt64, _ line: Line, _ connection: ConnectionID) {
        var line = line
        line.held += 1
        if case .drop = action { line.ends = true }
        lines[connection] = line
        held.append((number, action))
    }

    /// What may be done now that the journal has stored so much. To be asked before `pass` is.
    package mutating func release(stored: UInt64) -> [BrokerAction] {
        var released: [BrokerAction] = []
        while let first = held.first, first.number <= stored {
            held.removeFirst()
            guard let connection = first.action.connection, var line = lines[connection] else { continue }
            if let next = line.next, first.action.sequence != nil {
                released.append(first.action.numbered(next))
                line.next = next + 1
            } else {
                released.append(first.action)
                // The next session counts from the start.
                line.next = nil
            }
            line.held -= 1
            lines[connection] = line.held > 0 ? line : nil
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

    fileprivate var sequence: UInt64? {
        guard case .send(let frames, _) = self else { return nil }
        return frames.control.sequence
    }

    fileprivate func numbered(_ sequence: UInt64) -> BrokerAction {
        guard case .send(var frames, let connection) = self, frames.control.sequence != sequence else { return self }
        frames.control.sequence = sequence
        return .send(frames, to: connection)
    }

    /// Whether it would be no lie if the broker crashed and forgot what it has not stored.
    var claimsNothing: Bool {
        guard case .send(let frames, _) = self else { return true }
        return switch frames.control.body {
        case .challenge, .welcome, .ping, .pong, .keys, .rejected, .preview, .credit, .drain, .bye: true
        // It says what the worker sealed, and nothing of the broker: forgotten, the job is there to be done once more, or its client, who
        // has the result, is told nothing else. What the worker is told of it, and the client of its acknowledgement, waits.
        case .result: true
        // There is no earlier attempt that it could be mistaken for. If it is forgotten, so is its fence: another first attempt is
        // of a later epoch, and the result of this one is stale.
        case .job(let job): job.job.fence.attempt == 1
        default: false
        }
    }

    /// Whether it claims nothing and somebody waits for it.
    fileprivate var overtakes: Bool {
        guard case .send(let frames, _) = self else { return false }
        return switch frames.control.body {
        case .result, .job, .pong: claimsNothing
        default: false
        }
    }
}

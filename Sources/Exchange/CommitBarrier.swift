internal import DequeModule
internal import Wire

/// Holds back what depends on entries that are not stored yet, so that a broker can go on deciding while its disk writes.
///
/// Entries are handed to the journal in batches that are numbered; everything decided since depends on the newest number,
/// and is let go when the journal has stored it. What claims nothing (see `claimsNothing`) goes at once, unless its
/// connection has something held: the messages of a connection keep their order. Only a job's first attempt overtakes what is
/// held, and takes the number of the first message that waits: a worker that has one job after another would otherwise get each
/// only after the one before was stored.
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
    /// The newest number of each job that has entries which are not stored, as far as is known; `jobs` in the order of numbers.
    private var unstored: (numbers: [JobID: UInt64], jobs: Deque<(number: UInt64, job: JobID)>) = ([:], [])

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
            if mustWait, case .append(let entry) = action {
                unstored.numbers[entry.key.job] = number
                unstored.jobs.append((number, entry.key.job))
            }
            guard let connection = action.connection else { return nil }
            guard var line = lines[connection] else {
                if !mustWait || action.claimsNothing || isStoredResult(action) { return action }
                hold(action, number, Line(next: action.sequence), connection)
                return nil
            }
            if action.isFirstAttempt || action.isPong || isStoredResult(action), !line.ends, let next = line.next {
                line.next = next + 1
                lines[connection] = line
                return action.numbered(next)
            }
            hold(action, number, line, connection)
            return nil
        }
    }

    private func isStoredResult(_ action: BrokerAction) -> Bool {
        guard case .send(let frames, _) = action, case .result(let result) = frames.control.body,
            let job = JobID(result.jobID)
        else { return false }
        return unstored.numbers[job] == nil
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
        while let first = unstored.jobs.first, first.number <= stored {
            unstored.jobs.removeFirst()
            if unstored.numbers[first.job] == first.number { unstored.numbers[first.job] = nil }
        }
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
        default: isFirstAttempt
        }
    }

    fileprivate var isPong: Bool {
        if case .send(let frames, _) = self, case .pong = frames.control.body { true } else { false }
    }

    /// There is no earlier attempt that it could be mistaken for. If it is forgotten, so is its fence: another first attempt is
    /// of a later epoch, and the result of this one is stale.
    fileprivate var isFirstAttempt: Bool {
        guard case .send(let frames, _) = self, case .job(let job) = frames.control.body else { return false }
        return job.job.fence.attempt == 1
    }
}

internal import Wire

internal import struct Foundation.Data

/// Brokers share nothing. A client whose broker is gone hands the same jobs to the next one, so a job may lie at several; the first
/// result is surfaced, and every other broker that may have a copy is told so when the client comes there again.
///
/// What is owed is kept in memory: after a restart a copy that is left over shows as a result that nobody waits for, or expires.
extension ClientCore {
    /// What a broker is still to be told of a job.
    struct Debt: Sendable {
        /// In which they were made.
        let order: UInt64
        /// CANCEL, and not RESULT_ACK.
        let isCancel: Bool
    }

    /// Of one broker: beyond, copies are left to expire.
    private static let mostOwed = 4096

    // MARK: what is owed

    /// The job is over: copies that other brokers may have are to end too.
    mutating func owe(_ id: JobID, _ job: Job) {
        let isCancel: Bool
        switch job.phase {
        case .acknowledging: isCancel = false
        case .cancelling: isCancel = true
        // Over without a result and unasked: a copy may still bring one.
        case .waiting, .submitted, .pausing, .accepted, .asking, .surfaced: return
        }
        for place in job.places where place != broker && owed[place]?.count ?? 0 < Self.mostOwed {
            count += 1
            owed[place, default: [:]][id] = Debt(order: count, isCancel: isCancel)
        }
    }

    func isOwed(_ id: JobID) -> Bool { broker.flatMap { owed[$0]?[id] } != nil }

    /// Whether this was the answer to a debt.
    mutating func isPaid(_ id: JobID) -> Bool {
        guard jobs[id] == nil, let broker, owed[broker]?.removeValue(forKey: id) != nil else { return false }
        if owed[broker]?.isEmpty == true { owed[broker] = nil }
        visits = 0
        return true
    }

    mutating func settleDebts() {
        guard let broker, let debts = owed[broker] else { return }
        for (id, debt) in debts.sorted(by: { $0.value.order < $1.value.order }) {
            if debt.isCancel { sendCancel(id) } else { sendAck(id) }
        }
    }

    /// The broker of the session does not have the job.
    mutating func forgetPlace(of id: JobID) {
        guard let broker else { return }
        jobs[id]?.places.removeAll { $0 == broker }
    }

    // MARK: moving

    /// Goes to the next broker when this one drains and has no job of ours any more, or to one that something is owed when there is
    /// nothing else to do.
    mutating func moveIfDue() {
        guard session.isOpen, configuration.alternatives > 0 else {
            visitDue = nil
            return
        }
        if isLeaving, !jobs.values.contains(where: \.isHere) { return move("another broker is tried: this one drains") }
        guard jobs.isEmpty, owed.contains(where: { $0.key != broker }) else {
            visitDue = nil
            return
        }
        let pause = min(configuration.firstVisit << min(visits, 16), configuration.longestVisit)
        let due = visitDue ?? now + pause
        visitDue = due
        guard due <= now else { return }
        visits += 1
        move("copies of jobs are left at another broker")
    }

    private mutating func move(_ reason: String) {
        guard let (bye, loss) = session.move(reason, at: now) else { return }
        out.append(.send(bye))
        lose(loss)
    }
}

extension ClientCore.Job {
    /// Whether the broker of the session has it, or has still to answer.
    fileprivate var isHere: Bool {
        switch phase {
        case .waiting, .pausing: false
        case .submitted, .accepted, .asking, .surfaced, .acknowledging, .cancelling: true
        }
    }
}

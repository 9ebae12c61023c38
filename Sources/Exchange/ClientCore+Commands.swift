internal import DequeModule
internal import Wire

internal import struct Foundation.Data

extension ClientCore {
    mutating func submit(_ envelope: Envelope, _ sealed: [UInt8]) {
        if let known = jobs[envelope.job] {
            guard known.isOpen, known.envelope != envelope.bytes || known.sealed != sealed else { return }
            return out.append(.event(.conflict(envelope.job, "another job of this id is under way")))
        }
        count += 1
        jobs[envelope.job] = Job(
            order: count, generation: envelope.generation, envelope: envelope.bytes, sealed: sealed)
        queue.append(envelope.job)
    }

    mutating func enqueue(_ id: JobID) {
        jobs[id]?.phase = .waiting
        queue.append(id)
    }

    /// SUBMITs for as long as there is credit.
    mutating func sendWaiting() {
        guard session.isOpen, !isLeaving else { return }
        while unanswered < credit, let id = queue.popFirst() {
            guard let job = jobs[id], case .waiting = job.phase else { continue }
            jobs[id]?.phase = .submitted
            if let broker, !job.places.contains(broker) { jobs[id]?.places.append(broker) }
            unanswered += 1
            send(.submit(WireSubmit()), [job.envelope, job.sealed])
        }
    }

    mutating func cancel(_ id: JobID) {
        switch jobs[id]?.phase {
        case .waiting:
            // It may have been submitted in an earlier session, so the broker is told all the same.
            jobs[id]?.phase = .cancelling
        case .surfaced, .acknowledging, .cancelling: return
        case .submitted:
            answered()
            jobs[id]?.phase = .cancelling
        case .pausing, .accepted, .asking: jobs[id]?.phase = .cancelling
        case nil:
            count += 1
            jobs[id] = Job(order: count, envelope: [], sealed: [], phase: .cancelling)
        }
        jobs[id]?.sealed = []
        sendCancel(id)
    }

    /// Counts only within the session: what was submitted in the last one waits for the next to be submitted again.
    mutating func answered() {
        if session.isOpen { unanswered -= 1 }
    }

    mutating func sendCancel(_ id: JobID) {
        var cancel = WireCancel()
        cancel.jobID = Data(id.bytes)
        send(.cancel(cancel))
    }

    mutating func acknowledge(_ id: JobID) {
        if jobs[id] == nil {
            count += 1
            jobs[id] = Job(order: count, envelope: [], sealed: [])
        }
        if case .submitted = jobs[id]?.phase { answered() }
        jobs[id]?.phase = .acknowledging
        jobs[id]?.sealed = []
        sendAck(id)
    }

    mutating func sendAck(_ id: JobID) {
        var ack = WireResultAck()
        ack.jobID = Data(id.bytes)
        send(.resultAck(ack))
    }

    /// - Parameter own: whether this machine asks, and not the program.
    mutating func query(_ ids: [JobID], own: Bool) {
        guard session.isOpen else { return }
        var query = WireStatusQuery()
        query.jobID = ids.map { Data($0.bytes) }
        queries.append(own)
        send(.statusQuery(query))
    }
}

internal import DequeModule
internal import Wire

extension ClientCore {
    mutating func receive(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]]) {
        switch body {
        case .accepted(let accepted):
            // That of an earlier generation may come after its result, which was refused: it answers nothing any more.
            guard let id = JobID(accepted.jobID), let job = jobs[id], job.generation == accepted.generation else {
                return
            }
            switch job.phase {
            case .submitted:
                answered()
                jobs[id]?.phase = .accepted
                out.append(.event(.accepted(id)))
            // The result leaves the broker before anything is stored.
            case .surfaced, .acknowledging: out.append(.event(.accepted(id)))
            default: break
            }
        case .rejected(let rejected): receive(rejected)
        case .conflict(let conflict):
            guard let id = JobID(conflict.jobID), leave(id) else { return }
            out.append(.event(.conflict(id, conflict.message)))
        case .result: receiveResult(header: attachments[0], sealed: attachments[1])
        case .preview(let preview):
            guard let header = try? ResultHeader(bytes: attachments[0]), header.client == client,
                header.status == .preview, jobs[header.job]?.isOpen == true
            else { return }
            out.append(
                .event(.preview(header.job, step: preview.step, header: attachments[0], sealed: attachments[1])))
        case .ended(let ended):
            guard let id = JobID(ended.jobID), !isPaid(id) else { return }
            forgetPlace(of: id)
            _ = leave(id)
            out.append(.event(.ended(id, ended.code, ended.message)))
        case .ackStored(let stored):
            guard let id = JobID(stored.jobID), !isPaid(id) else { return }
            forgetPlace(of: id)
            _ = leave(id)
            out.append(.event(.ackStored(id)))
        case .status(let status):
            if queries.popFirst() == true { settle(status) } else { out.append(.event(.status(status))) }
        case .keys(let keys): out.append(.event(.keys(Array(keys.keyBundle))))
        case .credit(let credit): self.credit = max(Int(credit.credit), 1)
        default: break  // A kind that only a newer broker sends: it cannot be meant for what this client asked.
        }
    }

    private mutating func receive(_ rejected: WireRejected) {
        guard let id = JobID(rejected.jobID), case .submitted = jobs[id]?.phase else { return }
        forgetPlace(of: id)
        if rejected.code == .draining, configuration.alternatives > 0 {
            answered()
            isLeaving = true
            enqueue(id)
            return out.append(.event(.rejected(id, rejected.code, rejected.message, retryAfter: 0)))
        }
        guard rejected.retryAfterMs > 0 else {
            _ = leave(id)
            return out.append(.event(.rejected(id, rejected.code, rejected.message, retryAfter: nil)))
        }
        answered()
        let wait = Int64(min(rejected.retryAfterMs, 3_600_000)) * .millisecond
        jobs[id]?.phase = .pausing(until: now + wait)
        pauses.add(id, due: now + wait)
        out.append(.event(.rejected(id, rejected.code, rejected.message, retryAfter: wait)))
    }

    /// Handed over once in this process; what came again crossed an acknowledgement.
    private mutating func receiveResult(header bytes: [UInt8], sealed: [UInt8]) {
        guard let header = try? ResultHeader(bytes: bytes), header.client == client, header.status != .preview else {
            return
        }
        switch jobs[header.job]?.phase {
        case .surfaced, .acknowledging, .cancelling: return
        case .submitted: answered()
        case .waiting, .pausing, .accepted, .asking: break
        case nil:
            // Surfaced from elsewhere: that is on its way to this broker.
            if isOwed(header.job) { return }
            count += 1
            jobs[header.job] = Job(order: count, envelope: [], sealed: [])
        }
        jobs[header.job]?.phase = .surfaced
        jobs[header.job]?.sealed = []
        out.append(.event(.result(header.job, header: bytes, sealed: sealed)))
    }

    mutating func leave(_ id: JobID) -> Bool {
        guard let job = jobs.removeValue(forKey: id) else { return false }
        if case .submitted = job.phase { answered() }
        owe(id, job)
        return true
    }
}

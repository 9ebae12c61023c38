internal import DequeModule
internal import Wire

extension ClientCore {
    mutating func welcome(_ welcome: WireWelcome) {
        guard let broker = BrokerID(welcome.brokerID) else { return }
        self.broker = broker
        credit = max(Int(welcome.credit), 1)
        out.append(
            .event(
                .welcomed(
                    Welcome(
                        broker: broker, bootEpoch: welcome.bootEpoch, limits: welcome.limits,
                        keyBundle: Array(welcome.keyBundle), brokerTime: welcome.brokerTimeMs))))
        resume()
        settleDebts()
    }

    /// Takes every job up where the last session left it. Asking about an accepted job saves its payload.
    private mutating func resume() {
        var asked: [JobID] = []
        for (id, job) in jobs.sorted(by: { $0.value.order < $1.value.order }) {
            switch job.phase {
            case .waiting, .surfaced, .pausing: break
            case .submitted: enqueue(id)
            case .accepted, .asking:
                jobs[id]?.phase = .asking
                asked.append(id)
            case .acknowledging: sendAck(id)
            case .cancelling: sendCancel(id)
            }
        }
        for start in stride(from: 0, to: asked.count, by: BrokerCore.jobsPerStatus) {
            query(Array(asked[start..<min(start + BrokerCore.jobsPerStatus, asked.count)]), own: true)
        }
    }

    mutating func lose(_ loss: LinkLoss) {
        forgetSession()
        out.append(.event(.lost(loss)))
    }

    mutating func forgetSession() {
        unanswered = 0
        queries = []
        isLeaving = false
        visitDue = nil
    }

    mutating func send(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = []) {
        if let frames = session.number(body, attachments, at: now) { out.append(.send(frames)) }
    }

    /// The answer to `resume`'s question.
    mutating func settle(_ status: WireStatus) {
        for line in status.job {
            guard let id = JobID(line.jobID), case .asking = jobs[id]?.phase else { continue }
            switch line.state {
            case .queued, .leased, .inMailbox, .awaitingReseal: jobs[id]?.phase = .accepted
            case .acknowledged:
                _ = leave(id)
                out.append(.event(.ackStored(id)))
            case .deadLetter: end(id, .deadLetter)
            case .cancelled: end(id, .cancelled)
            case .expired: end(id, .expired)
            case .unspecified, .UNRECOGNIZED:
                forgetPlace(of: id)
                enqueue(id)
            }
        }
    }

    private mutating func end(_ id: JobID, _ code: WireCode) {
        _ = leave(id)
        out.append(.event(.ended(id, code, "over without a result")))
    }
}

internal import Exchange
internal import Wire

/// How a history went.
package struct SimulationReport: Sendable {
    package let settings: SimulationSettings
    /// Empty: all held.
    package let violations: [String]
    /// The last events before the first violation.
    package let recent: [String]
    package let virtualSeconds: Double
    package let events: Int
    package let accepted: Int
    package let surfaced: Int
    package let deadLetters: Int
    /// Leases that were held against the bound of fairness.
    package let turnsCompared: Int
    package let faults: [Fault: Int]
    /// Of the whole history: equal for equal histories.
    package let fingerprint: UInt64

    /// For people: what broke, what came before it, and the command that shows it again.
    package var failure: String {
        violations.joined(separator: "\n") + "\nthe last events:\n" + recent.joined(separator: "\n")
            + "\nreplay: \(settings.command)"
    }
}

/// The last events, kept as they are: they are put into words only when something broke.
struct RecentEvents {
    private var ring: [(time: Int64, event: Simulation.Event)] = []
    private var next = 0
    private static let count = 60

    mutating func add(_ event: Simulation.Event, at time: Int64) {
        if ring.count < Self.count {
            ring.append((time, event))
        } else {
            ring[next] = (time, event)
            next = (next + 1) % Self.count
        }
    }

    var lines: [String] {
        (0..<ring.count).map { place in
            let (time, event) = ring[(next + place) % ring.count]
            let milliseconds = time / .millisecond
            return "  \(milliseconds / 1000).\(String(1000 + milliseconds % 1000).dropFirst()) s  \(event.words)"
        }
    }
}

extension Simulation.Event {
    /// For the fingerprint.
    var kind: Int {
        switch self {
        case .toBroker(let connection, _): 100 + Int(truncatingIfNeeded: connection.number) << 8
        case .toNode(let node, _, _, _, _, _): 101 + node << 8
        case .unreachable: 102
        case .tick(let node, _): 103 + node << 8
        case .tickBroker: 104
        case .commit: 105
        case .engine(let node, _): 106 + node << 8
        case .storePublication(let node, _, _, _): 107 + node << 8
        case .begin(let node): 108 + node << 8
        case .publish(let node, _, _): 109 + node << 8
        case .cancel(let node, _, _): 110 + node << 8
        case .acknowledge(let node, _, _): 111 + node << 8
        case .reseal(let node, _, _): 112 + node << 8
        case .start(let node): 113 + node << 8
        case .startBroker: 114
        case .endDrain(let place, _): 117 + place << 8
        case .fault: 115
        case .audit: 116
        case .flood: 118
        }
    }

    var words: String {
        switch self {
        case .toBroker(let connection, let frames): "connection \(connection.number) → broker: \(frames.words)"
        case .toNode(let node, _, _, _, _, let frames): "broker → node \(node): \(frames.words)"
        case .unreachable(let connection, _): "connection \(connection.number) is found dead"
        case .tick(let node, _): "node \(node) looks at the clock"
        case .tickBroker(let place, _): "broker \(place) looks at the clock"
        case .commit(let place, _, let isRetry):
            isRetry ? "broker \(place): the disk is tried again" : "broker \(place): fsync returns"
        case .endDrain(let place, _): "broker \(place) drains"
        case .engine(let node, _): "node \(node): a pass of the engine"
        case .storePublication(let node, _, let key, _): "node \(node) stores the publication of \(key)"
        case .begin(let node): "node \(node): a user begins a job"
        case .publish(let node, _, let image): "node \(node) publishes image \(image)"
        case .cancel(let node, _, let job): "node \(node) cancels \(job.short)"
        case .acknowledge(let node, _, let job): "node \(node) acknowledges \(job.short)"
        case .reseal(let node, _, let job): "node \(node) seals \(job.short) again"
        case .start(let node): "node \(node) starts"
        case .startBroker(let place): "broker \(place) starts"
        case .fault: "a fault"
        case .audit: "an audit"
        case .flood: "a flood of jobs"
        }
    }
}

extension Frames {
    /// Kind and, where it names one, the job.
    var words: String {
        guard let body = control.body else { return "nothing" }
        let kind = String("\(body)".prefix { $0 != "(" })
        let job: String =
            switch body {
            case .submit: (try? Envelope(bytes: attachments[0]))?.key.description ?? ""
            case .accepted(let message): JobID(message.jobID)?.short ?? ""
            case .rejected(let message): "\(JobID(message.jobID)?.short ?? "") \(message.code)"
            case .ended(let message): "\(JobID(message.jobID)?.short ?? "") \(message.code)"
            case .resultAck(let message): JobID(message.jobID)?.short ?? ""
            case .result(let message): JobID(message.jobID)?.short ?? ""
            case .job(let message): Self.words(message.job) + (message.alone ? " alone" : "")
            case .workerResult(let message): Self.words(message.job)
            case .cancelJob(let message): Self.words(message.job)
            case .resultStored(let message): Self.words(message.job) + (message.stale ? " stale" : "")
            case .bye(let message): message.reason
            default: ""
            }
        return "\(kind) #\(control.sequence) \(job)"
    }

    private static func words(_ job: WireJobRef) -> String {
        let client = ClientID(job.clientID)?.short ?? "-", id = JobID(job.jobID)?.short ?? "-"
        return "\(client)/\(id) epoch \(job.fence.bootEpoch) attempt \(job.fence.attempt)"
    }
}

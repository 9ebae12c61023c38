internal import Dispatch
internal import Exchange
internal import Fabric
internal import Monitoring
internal import Synchronization
internal import Wire

/// What a worker counts of its work, for a `WorkerBoard`. From any thread.
final class WorkerGauges: Sendable {
    private struct State {
        /// When each job that is here came; uptime in nanoseconds.
        var here: [JobKey: Int64] = [:]
        var taken = 0
        var answered = 0
        var handedBack = 0
        var cancelled = 0
        var stale = 0
        var sessions = 0
        /// Lines with a session.
        var inSession: Set<Int> = []
        var loss = "no session with a broker yet"
        var durations = DurationHistogram()
        var costMicroseconds: UInt64 = 0
    }

    private let state = Mutex(State())
    private let roles: [String]
    private let name: String

    init(name: String, roles: [String]) {
        self.name = name
        self.roles = roles
    }

    /// - Parameter place: of the line, among those to all brokers.
    func hear(_ event: WorkerCore.Event, at place: Int) {
        state.withLock { state in
            switch event {
            case .job(let assignment):
                state.taken += 1
                state.here[assignment.key] = Moment.now().uptime
            case .cancel(let key, _, _):
                state.cancelled += 1
                state.here[key] = nil
            case .resultStored(_, _, stale: true): state.stale += 1
            case .welcomed:
                state.sessions += 1
                state.inSession.insert(place)
            case .lost(let loss):
                state.inSession.remove(place)
                state.loss = "no session with the broker: \(loss.reason)"
            case .resultStored, .versionsNeeded, .brokerDraining: break
            }
        }
    }

    func say(_ command: WorkerCore.Command) {
        state.withLock { state in
            switch command {
            case .result(let key, _, let cost, _, _):
                state.answered += 1
                state.costMicroseconds &+= cost
                if let came = state.here.removeValue(forKey: key) {
                    state.durations.record(nanoseconds: Moment.now().uptime - came)
                }
            case .nack(let key, _, _, _, _):
                state.handedBack += 1
                state.here[key] = nil
            default: break
            }
        }
    }

    /// As they are now.
    var figures: WorkerFigures {
        state.withLock { state in
            WorkerFigures(
                name: name, roles: roles, jobs: state.here.count, taken: state.taken, answered: state.answered,
                handedBack: state.handedBack, cancelled: state.cancelled, stale: state.stale,
                sessions: state.sessions, inSession: state.inSession.count, loss: state.loss,
                durations: state.durations, costMicroseconds: state.costMicroseconds)
        }
    }
}

internal import Dispatch
internal import Exchange
internal import Fabric
internal import Monitoring
internal import Observability
internal import Synchronization
internal import Wire

/// What a worker counts of its work, and writes on a board once a second. From any thread.
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

    func post(on board: StatusBoard) {
        let state = state.withLock { $0 }
        var page = Exposition()
        page.gauge(
            "worker_roles", "What this worker does.", roles.map { (["role": $0], 1) })
        page.gauge("worker_in_session", "Brokers that it has a session with.", Double(state.inSession.count))
        page.gauge("worker_jobs", "Jobs that it has now.", Double(state.here.count))
        page.counter("worker_sessions", "Sessions that it began.", state.sessions)
        page.counter("worker_jobs_taken", "Jobs that it was given.", state.taken)
        page.counter("worker_jobs_answered", "Jobs that it answered.", state.answered)
        page.counter("worker_jobs_handed_back", "Jobs that it gave back.", state.handedBack)
        page.counter("worker_jobs_cancelled", "Jobs that were taken from it.", state.cancelled)
        page.counter("worker_results_stale", "Answers that came too late.", state.stale)
        page.counter(
            "worker_cost_seconds", "Worker time of the jobs that it answered.",
            [([:], Double(state.costMicroseconds) / 1e6)])
        page.histogram("worker_job_duration", "From taking a job to its answer.", state.durations)
        board.post(
            page,
            status: [
                .init("role", .string(roles.joined(separator: " and "))), .init("name", .string(name)),
                .init("jobs", .integer(state.here.count)), .init("answered", .integer(state.answered)),
            ], obstacle: state.inSession.isEmpty ? state.loss : nil)
    }
}

package import Monitoring
internal import Observability
internal import Synchronization

/// What a worker's gauges stand at.
struct WorkerFigures: Sendable {
    let name: String
    let roles: [String]
    /// That it has now.
    let jobs: Int
    let taken: Int
    let answered: Int
    let handedBack: Int
    let cancelled: Int
    let stale: Int
    let sessions: Int
    /// Brokers that it has a session with, and why it has none.
    let inSession: Int
    let loss: String
    let durations: DurationHistogram
    let costMicroseconds: UInt64
}

/// Where the workers of a process write what they count, and where their sums are read. From any thread.
///
/// It is renewed once all have written: one that hangs shows, however many go on.
package final class WorkerBoard: Sendable {
    private let board: StatusBoard
    private let count: Int
    /// Since the board was last renewed.
    private let written = Mutex<[Int: WorkerFigures]>([:])

    /// - Parameter workers: how many write here.
    package init(_ board: StatusBoard, workers: Int = 1) {
        self.board = board
        count = workers
    }

    /// - Parameter place: the worker's, among those of this process.
    func post(_ figures: WorkerFigures, from place: Int) {
        let all = written.withLock { written -> [WorkerFigures]? in
            written[place] = figures
            guard written.count == count else { return nil }
            defer { written = [:] }
            return written.sorted { $0.key < $1.key }.map(\.value)
        }
        guard let all else { return }
        let roles = Set(all.flatMap(\.roles)).sorted()
        let lost = all.filter { $0.inSession == 0 }
        let obstacle = lost.first.map { count == 1 ? $0.loss : "\(lost.count) of \(count) workers have \($0.loss)" }
        board.post(
            Self.page(all, roles: roles),
            status: [
                .init("role", .string(roles.joined(separator: " and "))),
                .init("name", .string(count == 1 ? all[0].name : "\(count) workers")),
                .init("jobs", .integer(all.reduce(0) { $0 + $1.jobs })),
                .init("answered", .integer(all.reduce(0) { $0 + $1.answered })),
            ], obstacle: obstacle)
    }

    private static func page(_ all: [WorkerFigures], roles: [String]) -> Exposition {
        func sum(_ value: (WorkerFigures) -> Int) -> Int { all.reduce(0) { $0 + value($1) } }
        var page = Exposition()
        page.gauge(
            "worker_roles", "Workers of this process, by what they do.",
            roles.map { role in (["role": role], Double(all.count { $0.roles.contains(role) })) })
        page.gauge("worker_in_session", "Sessions with brokers now.", Double(sum(\.inSession)))
        page.gauge("worker_jobs", "Jobs that are here now.", Double(sum(\.jobs)))
        page.counter("worker_sessions", "Sessions that were begun.", sum(\.sessions))
        page.counter("worker_jobs_taken", "Jobs that were given to it.", sum(\.taken))
        page.counter("worker_jobs_answered", "Jobs that were answered.", sum(\.answered))
        page.counter("worker_jobs_handed_back", "Jobs that were given back.", sum(\.handedBack))
        page.counter("worker_jobs_cancelled", "Jobs that were taken away again.", sum(\.cancelled))
        page.counter("worker_results_stale", "Answers that came too late.", sum(\.stale))
        page.counter(
            "worker_cost_seconds", "Worker time of the jobs that were answered.",
            [([:], all.reduce(0) { $0 + Double($1.costMicroseconds) } / 1e6)])
        page.histogram(
            "worker_job_duration", "From taking a job to its answer.",
            all.dropFirst().reduce(into: all[0].durations) { $0.add($1.durations) })
        return page
    }
}

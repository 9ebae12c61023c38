internal import Synchronization
internal import Wire

/// Jobs that calls of this process wait for, so that two calls for the same do not take the same job.
final class JobClaims: Sendable {
    private let jobs = Mutex<Set<JobID>>([])

    /// - Returns: false when another call has it.
    func take(_ job: JobID) -> Bool { jobs.withLock { $0.insert(job).inserted } }

    func has(_ job: JobID) -> Bool { jobs.withLock { $0.contains(job) } }

    func drop(_ done: [JobID]) { jobs.withLock { $0.subtract(done) } }
}

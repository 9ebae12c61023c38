internal import Foundation
internal import Logging
internal import Synchronization
internal import Trust
internal import Wire

/// Brings the jobs of a home to their end: seal, submit, wait, open, surface, acknowledge, and forget once the answer was made use of.
/// Each step may be the last one of this process; the next process goes on behind it.
///
/// A result that is not accepted clears nothing here. The job goes out again as its next generation, which makes the broker drop
/// that result and have the job done anew; so a call puts up with a few of them, a pause after each, and then says why it ends.
struct JobRunner: Sendable {
    let release: Release
    let session: Session
    let credentials: Credentials
    private let doubts = Doubts()

    /// How often a call hands the same job to the broker.
    private static let attempts = 4
    /// After the first attempt that came to nothing; doubles with each.
    private static let pause = Duration.milliseconds(250)

    init(release: Release, session: Session, credentials: Credentials) {
        self.release = release
        self.session = session
        self.credentials = credentials
    }

    /// What a worker answered. It lies in the home, and so does its job, until `close`: who is killed before that finds it there.
    struct Answer: Sendable {
        /// Another than was asked for, where that one had to be named anew.
        let job: JobID
        let payload: WirePayload
    }

    /// - Throws: `failed` with the worker's words, `refused` with the broker's, `untrusted`, `storage`.
    func finish(_ job: JobID) async throws -> Answer {
        let answer = try await answer(job)
        await session.acknowledge(answer.job)
        if case .jobFailure(let failure) = answer.payload.head {
            try await close(answer.job)
            throw ClientError(.failed, "a worker answers: \(failure.message)")
        }
        return answer
    }

    /// The answer was made use of.
    func close(_ job: JobID) async throws {
        try await release.forget(job)
        try await release.discardResult(of: job)
    }

    /// Takes in a result that nobody waits for: of a job that an earlier process began, or one whose acknowledgement was lost.
    /// It lies surfaced until the call that began the job is made again.
    ///
    /// Left alone it would fill the broker's window, and no later result would come through. But what belongs to another home of this
    /// client is left alone: acknowledged here, it would be lost there.
    func takeStray(_ job: JobID, _ answer: Session.Answer) async throws {
        guard await release.made(job) else {
            throw ClientError(
                .badSettings,
                "it is of another home of this client: start a client with that --home, and it takes it in")
        }
        if await release.holds(job) { _ = try await take(answer, of: job) }
        await session.acknowledge(job)
    }

    /// Calls itself for the next attempt: as a loop that changes its job, Swift 6.3's optimiser crashes on it.
    private func answer(_ job: JobID, attempt: Int = 1) async throws -> Answer {
        if let surfaced = try await release.result(of: job) { return Answer(job: job, payload: surfaced) }
        if doubts.remove(job) { try await reseal(job) }
        let next: JobID
        do {
            return try await perform(job)
        } catch let end as JobEnd {
            // Its result may have come in as a stray, and that is why it is over.
            if let surfaced = try await release.result(of: job) { return Answer(job: job, payload: surfaced) }
            next = try await cure(job, end, isLast: attempt == Self.attempts)
        } catch let error as ClientError where error.code == .untrusted {
            guard attempt < Self.attempts else {
                throw ClientError(
                    .untrusted,
                    "\(error.message). \(attempt) results were not accepted; the job stays in the spool. Take the deployment "
                        + "folder anew, and tell the operator if that does not help")
            }
            next = job
        }
        try await Task.sleep(for: Self.pause * (1 << (attempt - 1)))
        return try await answer(next, attempt: attempt + 1)
    }

    private func perform(_ job: JobID) async throws -> Answer {
        let (envelope, sealed) = try await release.sealed(job, by: credentials.sealer)
        return Answer(job: job, payload: try await take(session.perform(envelope, sealed: sealed), of: job))
    }

    /// What goes out in the place of a job that the broker ended: itself sealed anew, or under another name.
    private func cure(_ job: JobID, _ end: JobEnd, isLast: Bool) async throws -> JobID {
        switch end.cure {
        case .reseal where !isLast:
            try await reseal(job)
            return job
        case .renew where !isLast: return try await renew(job)
        default:
            // It may have been cancelled by a process that was stopped before it could forget the request; kept, the request
            // would end every later call for the same samples.
            if end.code == .cancelled, await release.holds(job), try await release.kind(of: job) == .denoise {
                try await release.forget(job)
            }
            throw ClientError(.refused, "the broker ended the job (\(end.code)): \(end.message)")
        }
    }

    /// Opens a result and surfaces it. If that cannot be done, the result does not count.
    private func take(_ answer: Session.Answer, of job: JobID) async throws -> WirePayload {
        do {
            let payload = try await release.open(
                answer.sealed, header: answer.header, of: job, by: credentials.opener, now: .now)
            try await release.surface(payload, of: job)
            return payload
        } catch {
            // One of an earlier generation says nothing of this one, which is on its way.
            if await release.isCurrent(answer.header, job) { doubts.insert(job) }
            session.refuse(job, because: error)
            throw error
        }
    }

    /// A new generation of the same bytes, under a key and a lifetime that are valid now.
    private func reseal(_ job: JobID) async throws {
        try await release.reseal(job, to: poolKey(for: job), now: .now)
    }

    private func renew(_ job: JobID) async throws -> JobID {
        try await release.renew(job, to: poolKey(for: job), now: .now)
    }

    private func poolKey(for job: JobID) async throws -> PoolKey {
        guard let role = PoolRole(serving: try await release.kind(of: job)) else {
            throw ClientError(.storage, "job \(job.short) of the spool is of no kind that is known here")
        }
        return try credentials.poolKey(for: role)
    }
}

/// Jobs whose result was not accepted, and that have not gone out again since.
private final class Doubts: Sendable {
    private let jobs = Mutex<Set<JobID>>([])

    func insert(_ job: JobID) { jobs.withLock { _ = $0.insert(job) } }

    /// - Returns: whether it was there.
    func remove(_ job: JobID) -> Bool { jobs.withLock { $0.remove(job) != nil } }
}

/// A job that the broker will bring no result of.
struct JobEnd: Error {
    let code: WireCode
    let message: String
    private var wasAcknowledged = false

    init(code: WireCode, message: String) {
        self.code = code
        self.message = message
    }

    /// The broker holds the result for acknowledged, by another home or by a copy of this one.
    static let acknowledged: JobEnd = {
        var end = JobEnd(
            code: .unknownJob, message: "its result was acknowledged before, from another home of this client")
        end.wasAcknowledged = true
        return end
    }()

    enum Cure {
        case none
        /// The next generation of the job.
        case reseal
        /// The same bytes as another job.
        case renew
    }

    var cure: Cure { wasAcknowledged ? .renew : code == .expired || code == .unknownPoolKey ? .reseal : .none }
}

/// Where the session leaves results that nobody waits for; it is made before the runner that takes them.
final class StrayResults: Sendable {
    let runner = Mutex<JobRunner?>(nil)
    /// Jobs of this home with a result that was left alone: each is told once, however often a broker sends it.
    private let told = Mutex<Set<JobID>>([])

    func take(_ job: JobID, _ answer: Session.Answer, _ logger: Logger) {
        guard let runner = runner.withLock({ $0 }) else { return }
        Task {
            do { try await runner.takeStray(job, answer) } catch {
                guard told.withLock({ $0.insert(job).inserted }) else { return }
                logger.notice("a result is left alone", metadata: ["job": "\(job.short)", "reason": "\(error)"])
            }
        }
    }
}

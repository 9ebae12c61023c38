internal import Foundation
internal import Logging
internal import Synchronization
internal import Trust
internal import Wire

/// Brings the jobs of a home to their end: seal, submit, wait, open, surface, acknowledge, forget. Each step may be the last one of
/// this process; the next process goes on behind it.
struct JobRunner: Sendable {
    let release: Release
    let session: Session
    let credentials: Credentials

    /// - Returns: what the worker answered. It stays surfaced in the home until it is discarded.
    /// - Throws: `failed` with the worker's words, `refused` with the broker's, `untrusted`, `storage`.
    func finish(_ job: JobID) async throws -> WirePayload {
        let payload = try await answer(job)
        await session.acknowledge(job)
        try await release.forget(job)
        if case .jobFailure(let failure) = payload.head {
            try await release.discardResult(of: job)
            throw ClientError(.failed, "a worker answers: \(failure.message)")
        }
        return payload
    }

    /// Takes in a result that nobody waits for: of a job that an earlier process began, or one whose acknowledgement was lost.
    ///
    /// Left alone it would fill the broker's window, and no later result would come through.
    func takeStray(_ job: JobID, _ answer: Session.Answer) async throws {
        let isOurs = try await release.jobs().contains { $0.job == job }
        if isOurs {
            let payload = try await release.open(
                answer.sealed, header: answer.header, of: job, by: credentials.opener, now: .now)
            try await release.surface(payload, of: job)
        }
        await session.acknowledge(job)
        guard isOurs else { return }
        try await release.forget(job)
        try await release.discardResult(of: job)
    }

    private func answer(_ job: JobID) async throws -> WirePayload {
        if let surfaced = try await release.result(of: job) { return surfaced }
        while true {
            let (envelope, sealed) = try await release.sealed(job, by: credentials.sealer)
            do {
                let answer = try await session.perform(envelope, sealed: sealed)
                let payload = try await release.open(
                    answer.sealed, header: answer.header, of: job, by: credentials.opener, now: .now)
                try await release.surface(payload, of: job)
                return payload
            } catch let end as JobEnd {
                guard end.isCuredByResealing, let role = PoolRole(serving: envelope.kind) else {
                    throw ClientError(.refused, "the broker ended the job (\(end.code)): \(end.message)")
                }
                // A new generation of the same bytes, under a key and a lifetime that are valid now.
                try await release.reseal(job, to: credentials.poolKey(for: role), now: .now)
            }
        }
    }
}

/// A job that the broker will bring no result of.
struct JobEnd: Error {
    let code: WireCode
    let message: String

    var isCuredByResealing: Bool { code == .expired || code == .unknownPoolKey }
}

/// Where the session leaves results that nobody waits for; it is made before the runner that takes them.
final class StrayResults: Sendable {
    let runner = Mutex<JobRunner?>(nil)

    func take(_ job: JobID, _ answer: Session.Answer, _ logger: Logger) {
        guard let runner = runner.withLock({ $0 }) else { return }
        Task {
            do { try await runner.takeStray(job, answer) } catch {
                logger.notice("a result is left alone", metadata: ["job": "\(job.short)", "reason": "\(error)"])
            }
        }
    }
}

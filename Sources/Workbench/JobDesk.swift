package import Exchange
internal import Foundation
package import Sealing
package import Trust
package import Wire

/// Opens the jobs that come in and seals the answers that go out: between the link, which sees ciphertext, and the engines,
/// which see none.
package struct JobDesk: Sendable {
    private let opener: JobOpener
    private let sealer: ResultSealer
    private let checkpoints: CheckpointSealer
    private let secrets: PoolSecrets
    private let run: RunID

    /// - Parameter run: whose jobs are done here; pool keys serve all runs of a deployment.
    package init(
        opener: JobOpener, sealer: ResultSealer, checkpoints: CheckpointSealer, secrets: PoolSecrets, run: RunID
    ) {
        self.run = run
        self.opener = opener
        self.sealer = sealer
        self.checkpoints = checkpoints
        self.secrets = secrets
    }

    /// What became of a job's arrival.
    package enum Arrival: Sendable {
        case opened(OpenedJob)
        /// It cannot be opened; this says so, to the client if that can be done, else to the broker.
        case refused(WorkerCore.Command)
    }

    package func open(_ assignment: WorkerCore.Assignment) -> Arrival {
        do throws(SealingError) {
            let job = try opener.open(assignment.sealed, envelope: assignment.envelope, now: .now)
            guard job.envelope.run == run else {
                let wrong = RequestError(
                    .badRequest,
                    "this worker serves the run \(run.short), and the job is for \(job.envelope.run.short): send it again"
                )
                return .refused(answer(wrong.payload, to: job, fence: assignment.fence, cost: 0))
            }
            return .opened(job)
        } catch {
            var failure = WireJobFailure()
            failure.code = error.code == .badSignature ? .badSignature : .badPayload
            failure.message = error.message
            do throws(SealingError) {
                let (header, sealed) = try sealer.seal(
                    failure, toUnopened: assignment.envelope, secrets: secrets, fence: assignment.fence, now: .now)
                return .refused(
                    .result(assignment.key, assignment.fence, cost: 0, header: header.bytes, sealed: sealed))
            } catch {
                return .refused(handBack(assignment.key, assignment.fence, .unknownPoolKey, error.message))
            }
        }
    }

    /// - Parameter cost: microseconds of worker time.
    package func answer(_ payload: WirePayload, to job: OpenedJob, fence: Fence, cost: UInt64) -> WorkerCore.Command {
        var status = WireResultStatus.done
        if case .jobFailure = payload.head { status = .failed }
        do throws(SealingError) {
            let (header, sealed) = try sealer.seal(payload, status: status, answering: job, fence: fence)
            return .result(job.envelope.key, fence, cost: cost, header: header.bytes, sealed: sealed)
        } catch {
            return handBack(job.envelope.key, fence, .internal, "the result cannot be sealed: \(error.message)")
        }
    }

    /// What the client sees of a running job.
    ///
    /// - Parameter step: of which the broker may know.
    /// - Returns: nil when it cannot be sealed: a preview may be left out.
    package func preview(
        _ payload: WirePayload, of job: OpenedJob, fence: Fence, step: UInt32
    ) -> WorkerCore.Command? {
        guard let (header, sealed) = try? sealer.seal(payload, status: .preview, answering: job, fence: fence) else {
            return nil
        }
        return .preview(job.envelope.key, fence, step: step, header: header.bytes, sealed: sealed)
    }

    /// A running job's state, for whichever worker has it next.
    ///
    /// - Parameters:
    ///   - step: steps done, over all samples.
    ///   - version: that its samples began with.
    /// - Throws: `.expired` once the job's pool key is; what sealing throws.
    package func checkpoint(
        _ payload: WirePayload, of job: OpenedJob, fence: Fence, step: UInt32, version: UInt64
    ) throws(SealingError) -> WorkerCore.Command {
        let header = CheckpointHeader(fence: fence, step: step, modelVersion: version, worker: checkpoints.worker)
        let sealed = try checkpoints.seal(payload, of: job.envelope, header, now: .now)
        return .checkpoint(job.envelope.key, fence, step: step, version: version, sealed: sealed)
    }

    /// - Throws: what opening throws, also for a checkpoint that an earlier generation of the job left.
    package func open(
        _ checkpoint: WorkerCore.Checkpoint, of job: OpenedJob
    ) throws(SealingError) -> WirePayload {
        try checkpoints.open(checkpoint.sealed, of: job.envelope, checkpoint.header, now: .now)
    }

    package func handBack(
        _ key: JobKey, _ fence: Fence, _ code: WireCode, _ message: String, retryAfter seconds: Double = 1
    ) -> WorkerCore.Command {
        .nack(key, fence, code, message, retryAfter: Int64(seconds * 1e9))
    }
}

extension UnixTime {
    /// Milliseconds of Unix time.
    package static var now: UnixTime { UnixTime(Date().timeIntervalSince1970 * 1000) }
}

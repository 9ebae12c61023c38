internal import Chain
internal import Foundation
internal import Wire

/// What is under way, and how the pool is doing.
public struct ClientStatus: Codable, Sendable {
    public struct Job: Codable, Sendable {
        public var id: String
        public var kind: String
        public var state: String
        public var attempts: Int
        /// Denoising steps done and to do; 0 of 0 where they are not known.
        public var done: Int
        public var total: Int
    }

    public struct Pool: Codable, Sendable {
        public var role: String
        public var workers: Int
        public var queued: Int
        public var leased: Int
    }

    public var run: String
    public var exposure: ExposureSummary
    /// This client's jobs, as the broker knows them.
    public var jobs: [Job]
    /// The pool, as the broker knows it.
    public var pool: [Pool]
    /// Of the newest backbone: its number, and the images it was trained on. 0: there is none yet.
    public var backboneVersion: UInt64
    public var backboneImages: UInt64

    public var text: String {
        var lines = ["run \(run)", exposure.text]
        lines.append(
            backboneVersion == 0
                ? "no backbone yet" : "backbone version \(backboneVersion), trained on \(backboneImages) images")
        for role in pool {
            lines.append("\(role.role): \(role.workers) workers, \(role.leased) jobs running, \(role.queued) waiting")
        }
        if jobs.isEmpty { lines.append("no jobs at the broker") }
        for job in jobs {
            let progress = job.total > 0 ? ", \(job.done)/\(job.total) steps" : ""
            lines.append("job \(job.id.prefix(8)) \(job.kind): \(job.state), attempt \(job.attempts)\(progress)")
        }
        return lines.joined(separator: "\n")
    }
}

extension CollaFuseClient {
    /// What has left this client, its jobs, and the pool. Waits until a broker answers.
    public func status() async throws -> ClientStatus {
        let status = try await session.status()
        return ClientStatus(
            run: descriptor.name, exposure: await exposure(),
            jobs: status.job.map { job in
                ClientStatus.Job(
                    id: JobID(job.jobID).map { "\($0)" } ?? "", kind: "\(job.kind)", state: "\(job.state)",
                    attempts: Int(job.attempts),
                    done: Int(clamping: job.stepsDone), total: Int(clamping: job.stepsTotal))
            },
            pool: status.role.map { role in
                ClientStatus.Pool(
                    role: role.role, workers: Int(role.workers), queued: Int(role.queued), leased: Int(role.leased))
            },
            backboneVersion: status.model.version, backboneImages: status.model.imagesSeen)
    }
}

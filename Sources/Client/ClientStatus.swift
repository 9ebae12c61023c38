internal import Chain
internal import Foundation
internal import Trust
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

    /// A job of which this client still has to hear, or to tell, something.
    public struct Spooled: Codable, Sendable {
        public var id: String
        public var kind: String
        /// How many it publishes.
        public var images: Int
        /// Since it was sealed.
        public var ageSeconds: Int
        /// Its result is here, and goes to the call that began the job when that is made again.
        public var isDone: Bool
    }

    public struct Pool: Codable, Sendable {
        public var role: String
        public var workers: Int
        public var queued: Int
        public var leased: Int
    }

    public var run: String
    public var exposure: ExposureSummary
    /// What lies in the spool of the home, oldest first.
    public var spool: [Spooled]
    /// Why no broker answered; what it would say is empty then. nil: it did.
    public var away: String?
    /// This client's jobs, as the broker knows them.
    public var jobs: [Job]
    /// The pool, as the broker knows it.
    public var pool: [Pool]
    /// Of the newest backbone: its number, and the images it was trained on. 0: there is none yet.
    public var backboneVersion: UInt64
    public var backboneImages: UInt64

    public var text: String {
        var lines = ["run \(run)", exposure.text]
        if spool.isEmpty { lines.append("nothing waits in the spool") }
        for job in spool {
            let what = job.images > 0 ? "\(job.kind) of \(job.images) images" : job.kind
            lines.append(
                "spool: job \(job.id.prefix(8)) \(what), \(Self.age(job.ageSeconds)) old: "
                    + (job.isDone
                        ? "its result is here: give the same command again" : "to be sent, or its result to come"))
        }
        if let away { return (lines + ["no word from the broker: \(away)"]).joined(separator: "\n") }
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

    private static func age(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7_200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) days"
        }
    }
}

extension CollaFuseClient {
    /// What has left this client, what waits in its spool, its jobs at the broker, and the pool.
    ///
    /// - Parameter patience: how long to wait for the broker. Without its word the rest is said all the same; nil: waits until it answers.
    public func status(waiting patience: Duration? = nil) async throws -> ClientStatus {
        let status = try await brokerStatus(within: patience)
        let now = UnixTime.now
        return ClientStatus(
            run: descriptor.name, exposure: await exposure(),
            spool: try await release.jobs().sorted { $0.created < $1.created }.map { job in
                ClientStatus.Spooled(
                    id: "\(job.job)", kind: "\(job.kind)", images: job.publications,
                    ageSeconds: Int(max(0, now - job.created) / 1000), isDone: job.isSurfaced)
            },
            away: status == nil ? (session.note.isEmpty ? "it has not answered yet" : session.note) : nil,
            jobs: (status?.job ?? []).map { job in
                ClientStatus.Job(
                    id: JobID(job.jobID).map { "\($0)" } ?? "", kind: "\(job.kind)", state: "\(job.state)",
                    attempts: Int(job.attempts),
                    done: Int(clamping: job.stepsDone), total: Int(clamping: job.stepsTotal))
            },
            pool: (status?.role ?? []).map { role in
                ClientStatus.Pool(
                    role: role.role, workers: Int(role.workers), queued: Int(role.queued), leased: Int(role.leased))
            },
            backboneVersion: status?.model.version ?? 0, backboneImages: status?.model.imagesSeen ?? 0)
    }

    /// - Returns: nil when time was up first.
    private func brokerStatus(within patience: Duration?) async throws -> WireStatus? {
        guard let patience else { return try await session.status() }
        return try await withThrowingTaskGroup(of: WireStatus?.self) { [session] group in
            group.addTask {
                while true {
                    // A session that was lost is no answer: the next may bring one.
                    do { return try await session.status() } catch let error as ClientError where error.code == .refused
                    {}
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            group.addTask {
                try await Task.sleep(for: patience)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}

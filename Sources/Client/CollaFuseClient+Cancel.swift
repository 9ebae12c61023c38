internal import Trust
internal import Wire

extension CollaFuseClient {
    /// Gives up the requests for samples of this home that are under way, also those of a process that was stopped. A worker that has
    /// one drops it before its next step. Calls that wait for them end with `refused`.
    ///
    /// What was published is not touched: it has left this client.
    ///
    /// - Returns: how many there were.
    /// - Throws: `storage`; `refused` when the broker does not answer.
    public func cancelSampling() async throws -> Int {
        let jobs = try await release.jobs().filter { $0.kind == .denoise }
        for job in jobs {
            if !job.isSurfaced { try await session.cancel(job.job) }
            try await runner.close(job.job)
        }
        return jobs.count
    }
}

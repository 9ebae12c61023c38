/// What a broker holds, counted afresh, beside what it believes to hold. In bytes where nothing else is said.
package struct BrokerHoldings: Hashable, Sendable {
    /// In the table.
    package var jobs = 0
    /// Of all jobs in the table: envelopes, sealed payloads, results with their headers.
    package var payloads = 0
    package var checkpoints = 0
    /// Jobs that are remembered.
    package var tombstones = 0

    /// The broker's own counts, by which it takes and refuses jobs: these include what each job weighs beside its payload.
    package var countedJobs = 0
    package var countedBytes = 0
    /// Part of `countedBytes`.
    package var countedResults = 0
    package var countedTombstones = 0

    /// What a job, and the memory of one, weigh in these counts beside their bytes.
    package static let jobOverhead = Job.overhead
    package static let tombstoneWeight = Tombstone.weight

    package init() {}
}

extension BrokerCore {
    /// Cost: all jobs, over or not.
    package var holdings: BrokerHoldings {
        var holdings = BrokerHoldings()
        for handle in jobs.handles {
            guard let job = jobs[handle] else { continue }
            holdings.jobs += 1
            holdings.payloads += job.envelope.count + job.sealed.count
            if case .inMailbox(let delivery) = job.state {
                holdings.payloads += delivery.header.count + delivery.sealed.count
            }
            holdings.checkpoints += job.checkpoint?.bytes.count ?? 0
        }
        for client in clients {
            holdings.tombstones += client.tombstones.count
        }
        holdings.countedJobs = usage.jobs
        holdings.countedBytes = usage.bytes
        holdings.countedResults = usage.results
        holdings.countedTombstones = usage.tombstones
        return holdings
    }
}

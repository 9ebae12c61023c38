internal import Wire

/// How much may be kept, for one client and in all. One client's excess is refused to that client alone.
package struct Limits: Hashable, Sendable {
    /// Jobs that are neither acknowledged nor over.
    package var jobsPerClient = 1_000
    package var jobs = 100_000
    /// Bytes of envelopes, sealed payloads, checkpoints and results, when another job is taken.
    package var bytesPerClient = 64 << 20
    package var bytes = 256 << 20
    /// Bytes of results that wait for their clients, besides: jobs are not leased while there is no room for what they will bring.
    package var resultBytesPerClient = 64 << 20
    package var resultBytes = 256 << 20
    /// Of one sealed payload.
    package var bytesPerJob = 8 << 20
    /// Of one result or checkpoint: several tensors for each image of the job.
    package var bytesPerResult = 32 << 20
    /// Of all checkpoints. One that finds no room is not kept, and the one before it stays.
    package var checkpointBytes = 64 << 20
    /// Jobs whose ids cannot be taken for others: those that are not over, and those that are until they expire.
    package var remembered = 2_000_000
    /// An envelope may expire at most so far in the future, in milliseconds.
    package var longestLife: Int64 = 8 * 24 * 3_600_000
    /// A result is kept no longer than this, in milliseconds.
    package var resultLife: Int64 = 7 * 24 * 3_600_000
    /// A job that is over is remembered so long past its expiry, in milliseconds: wall clocks differ.
    package var tombstoneGrace: Int64 = 10 * 60_000
    /// What a refused client is told to wait, in milliseconds.
    package var retryAfter: UInt64 = 1_000

    package init() {}

    /// These limits with a client's own quota.
    func of(_ rights: ClientRights) -> Limits {
        var limits = self
        if rights.jobs > 0 { limits.jobsPerClient = rights.jobs }
        if rights.bytes > 0 {
            limits.bytesPerClient = rights.bytes
            limits.resultBytesPerClient = rights.bytes
        }
        return limits
    }

    /// What jobs, results and memories of jobs can take at most, whatever clients do.
    package var memory: Int { bytes + resultBytes + remembered * Tombstone.weight }
}

/// What is kept now, of one client or in all.
struct Usage: Hashable, Sendable {
    var jobs = 0
    var bytes = 0
    /// Part of `bytes`: of those that are done.
    var results = 0
    /// Kept free for the results of jobs that are leased.
    var expected = 0
    /// Jobs that are over and remembered; not part of `bytes`.
    var tombstones = 0

    /// Jobs whose ids are taken.
    var remembered: Int { jobs + tombstones }

    /// Why another job of this size cannot be taken; nil: it can. Of what is free in all a client takes half at most, so those that
    /// come with many jobs leave room for those with few.
    static func refusal(of bytes: Int, client: Usage, all: Usage, limits: Limits) -> (code: WireCode, message: String)?
    {
        if client.jobs >= limits.jobsPerClient {
            return (.tooManyJobs, "you have \(client.jobs) jobs here, the limit; acknowledge results or wait")
        }
        if client.bytes + bytes > limits.bytesPerClient {
            return (
                .tooManyBytes,
                "your jobs and results would exceed \(limits.bytesPerClient) bytes; acknowledge results or wait"
            )
        }
        // What is free is nobody's alone: see `BrokerCore.mayLease`.
        if client.jobs >= limits.jobs - all.jobs || client.bytes + bytes > limits.bytes - all.bytes {
            return (.brokerFull, "the broker is full; try again later")
        }
        return nil
    }

    /// Why another id cannot be remembered; nil: it can. Shared like the rest, though no job of another client's could give the room
    /// back sooner: what is over stays until it expires. A job takes its place when it comes, so there is one when it is over.
    static func refusal(ofMemory client: Usage, all: Usage, limits: Limits) -> (code: WireCode, message: String)? {
        let free = limits.remembered - all.remembered
        guard client.remembered >= free else { return nil }
        guard free > 0, client.remembered > 0 else {
            return (.brokerFull, "the broker remembers as many jobs as it may; try again later")
        }
        return (
            .tooManyJobs,
            "the broker remembers \(client.remembered) of your jobs, your share, until they expire; let jobs expire sooner"
        )
    }

    mutating func add(bytes: Int) {
        self.bytes += bytes
        jobs += 1
    }

    mutating func remove(bytes: Int) {
        self.bytes -= bytes
        jobs -= 1
    }
}

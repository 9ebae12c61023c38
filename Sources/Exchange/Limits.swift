internal import Wire

/// How much may be kept, for one client and in all. One client's excess is refused to that client alone.
package struct Limits: Hashable, Sendable {
    /// Jobs that are neither acknowledged nor over.
    package var jobsPerClient = 1_000
    package var jobs = 100_000
    /// Bytes of envelopes, sealed payloads, checkpoints and results.
    package var bytesPerClient = 64 << 20
    package var bytes = 256 << 20
    /// Of one sealed payload.
    package var bytesPerJob = 8 << 20
    /// Of one result or checkpoint: several tensors for each image of the job.
    package var bytesPerResult = 32 << 20
    /// Of all checkpoints. One that finds no room is not kept, and the one before it stays.
    package var checkpointBytes = 64 << 20
    /// Jobs that are over and are remembered until they expire.
    package var tombstonesPerClient = 20_000
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
        if rights.bytes > 0 { limits.bytesPerClient = rights.bytes }
        return limits
    }
}

/// What is kept now, of one client or in all.
struct Usage: Hashable, Sendable {
    var jobs = 0
    var bytes = 0

    /// Why another job of this size cannot be taken; nil: it can.
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
        if all.jobs >= limits.jobs || all.bytes + bytes > limits.bytes {
            return (.brokerFull, "the broker is full; try again later")
        }
        return nil
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

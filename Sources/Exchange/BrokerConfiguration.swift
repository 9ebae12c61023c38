package import Wire

/// What the operator sets. Times are in nanoseconds of uptime unless their name says otherwise.
package struct BrokerConfiguration: Sendable {
    package var limits = Limits()

    /// Runs whose jobs are taken.
    package var runs: Set<RunID> = []
    package var poolKeys: [PoolKeyID: PoolKey] = [:]
    /// The signed bundle of pool keys, as it is handed to clients; the broker does not read it.
    package var keyBundle: [UInt8] = []

    /// Both ends send something at least this often.
    package var heartbeat: Int64 = 2 * .second
    /// Clients are told a longer one when there are so many that more of them than this would say each second that they are there …
    package var clientHeartbeatsPerSecond: Int64 = 250
    /// … but none longer than this.
    package var longestHeartbeat: Int64 = 10 * .second
    /// A peer that was not heard for so many heartbeats is gone.
    package var missedHeartbeats: Int64 = 4
    /// A lease ends so long after the last sign of progress.
    package var lease: Int64 = 15 * .second
    /// After a start, jobs that were leased wait so long for their workers to come back and name them.
    package var readoption: Int64 = 6 * .second
    /// The first pause before a job that came back is leased again; it doubles with every further one, up to the longest.
    package var backoff: Int64 = 250 * .millisecond
    package var longestBackoff: Int64 = 30 * .second
    /// Jobs of a priority that wait so long rise by one place among the priorities, for one turn.
    package var ageing: Int64 = 10 * .second
    /// Crashes of a job that ran alone before it becomes a dead letter.
    package var crashesAllowed: Int = 3

    /// Microseconds that a job is charged before it was measured if its envelope admits no ceiling.
    package var defaultCost: UInt64 = 1_000_000
    /// No envelope's ceiling counts for more.
    package var maximumCost: UInt64 = 3_600_000_000

    /// SUBMITs of one client that may be unanswered at a time.
    package var credit: UInt32 = 64
    /// Results on their way to one client that it has not acknowledged.
    package var resultWindow: Int = 32
    package var resultWindowBytes: Int = 8 << 20
    /// Of one client; previews above it are dropped.
    package var previewBytesPerSecond = 4 << 20
    /// A worker's slots count for no more than this.
    package var slotsPerWorker: UInt32 = 4096

    package init() {}

    package struct PoolKey: Hashable, Sendable {
        package let role: WorkerRole
        /// Unix time in milliseconds after which no worker can open what was sealed with it.
        package let openUntil: Int64

        package init(role: WorkerRole, openUntil: Int64) {
            self.role = role
            self.openUntil = openUntil
        }
    }
}

extension Int64 {
    /// In nanoseconds.
    package static let millisecond: Int64 = 1_000_000
    /// In nanoseconds.
    package static let second: Int64 = 1_000_000_000
}

extension WorkerRole {
    /// Which kind of worker does this kind of job.
    package init?(doing kind: WireJobKind) {
        switch kind {
        case .publish: self = .train
        case .denoise: self = .denoise
        default: return nil
        }
    }
}

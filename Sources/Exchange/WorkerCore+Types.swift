package import Wire

extension WorkerCore {
    package struct Offer: Sendable {
        package var roles: Set<WorkerRole>
        /// Jobs that may be leased to this worker at a time.
        package var slots: UInt32
        package var run: RunID
        /// Pool keys whose secrets it holds.
        package var poolKeys: [PoolKeyID]
        package var model: WireModelVersion?

        package init(
            roles: Set<WorkerRole>, slots: UInt32, run: RunID, poolKeys: [PoolKeyID], model: WireModelVersion? = nil
        ) {
            self.roles = roles
            self.slots = slots
            self.run = run
            self.poolKeys = poolKeys
            self.model = model
        }
    }

    /// A leased job. `fence` names this attempt in all that is said of it.
    package struct Assignment: Sendable {
        package let key: JobKey
        package let fence: Fence
        package let envelope: Envelope
        package let sealed: [UInt8]
        /// Of an earlier attempt; nil: from the start.
        package let checkpoint: Checkpoint?
        /// Suspected of a crash: it shares no batch.
        package let alone: Bool
        /// Nanoseconds without progress after which the lease is lost.
        package let lease: Int64
        /// Attempts alone that found no memory.
        package var memoryFailures = 0
    }

    /// A running job's state, sealed by another worker of the pool.
    package struct Checkpoint: Sendable {
        package let header: CheckpointHeader
        package let sealed: [UInt8]

        package init(header: CheckpointHeader, sealed: [UInt8]) {
            self.header = header
            self.sealed = sealed
        }
    }

    package enum Command: Sendable {
        case progress(JobKey, Fence, done: UInt64, total: UInt64)
        /// Forward passes or optimiser steps since the start.
        case iterations(UInt64)
        /// `sealed` under `fence`, `step` and `version`. What is said of the job later is newer.
        case checkpoint(JobKey, Fence, step: UInt32, version: UInt64, sealed: [UInt8])
        case preview(JobKey, Fence, step: UInt32, header: [UInt8], sealed: [UInt8])
        /// `cost`: microseconds of worker time. Repeated until it is stored.
        case result(JobKey, Fence, cost: UInt64, header: [UInt8], sealed: [UInt8])
        /// Hands the job back. `retryAfter`: nanoseconds for which this worker wants no other.
        case nack(JobKey, Fence, WireCode, String, retryAfter: Int64)
        case model(WireModelVersion)
        /// The versions that running samples began with.
        case versionsInUse(Set<UInt64>)
        case poolKeys([PoolKeyID])
        /// No new jobs; those it has go on.
        case drain
        /// Ends the session once what was said has been heard, or some seconds later. Leases that are left are handed back.
        case close

        /// Under whose lease it is said; nil: it is meant for every broker.
        package var lease: (key: JobKey, fence: Fence)? {
            switch self {
            case .progress(let key, let fence, _, _), .checkpoint(let key, let fence, _, _, _),
                .preview(let key, let fence, _, _, _), .result(let key, let fence, _, _, _),
                .nack(let key, let fence, _, _, _):
                (key, fence)
            case .iterations, .model, .versionsInUse, .poolKeys, .drain, .close: nil
            }
        }

        /// Whether nothing more is said under its lease.
        package var isLast: Bool {
            switch self {
            case .result, .nack: true
            default: false
            }
        }
    }

    package enum Event: Sendable {
        case welcomed(broker: BrokerID, bootEpoch: UInt64, keyBundle: [UInt8])
        case lost(LinkLoss)
        case job(Assignment)
        /// The attempt is over: stop it and say nothing more of it.
        case cancel(JobKey, Fence, WireCode)
        /// `stale`: refused, since the lease was another's by then or the job is over.
        case resultStored(JobKey, Fence, stale: Bool)
        /// To trainers: the versions that somebody still needs.
        case versionsNeeded(Set<UInt64>)
        case brokerDraining
    }
}

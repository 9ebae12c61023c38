package import Wire

/// A job that is not over: accepted and durable, neither acknowledged nor ended.
///
///     SUBMIT → queued ⇄ delayed
///                ↓   ↖    ↑           lease lost, handed back
///              leased ────┘
///                ↓    ↘ crashed alone too often
///            inMailbox  deadLetter
///
/// Every state also ends by CANCEL, by expiry and by RESULT_ACK (the client has its result from elsewhere): then the job
/// leaves the table and a `Tombstone` stays.
struct Job: Sendable {
    enum State: Sendable {
        /// Waits in its lane. → leased (a worker has room), inMailbox (the newest attempt's late result)
        case queued
        /// Waits for a time before it is queued again. → queued (time has come), leased (its worker came back and holds
        /// it), inMailbox (the newest attempt's late result)
        case delayed(until: Int64)
        /// A worker has it. → inMailbox (result), delayed (lost or handed back), deadLetter (crashed alone too often)
        case leased(Lease)
        /// Done; waits for the client's acknowledgement. → only the ends that every state has
        case inMailbox(Delivery)
        /// Given up; waits for the operator. → queued (replayed)
        case deadLetter
    }

    let key: JobKey
    /// Places of the client's record and of the lane.
    let client: Int
    let lane: Int
    let kind: WireJobKind
    let generation: UInt32
    let envelope: [UInt8]
    /// Empty once it is done.
    var sealed: [UInt8]
    /// Unix time in milliseconds.
    let expires: Int64
    /// Its ceiling, or what the broker assumes, in microseconds of worker time.
    let cost: UInt64
    /// It is charged no more than this before it was measured.
    let highestCost: UInt64

    var state: State = .queued
    /// The newest, of whichever attempt; kept in memory only.
    var checkpoint: Checkpoint?
    /// The newest attempt; 0: none yet.
    var attempts: UInt32 = 0
    /// The boot epoch of the newest attempt; 0: nobody has an attempt of this number.
    var epoch: UInt64 = 0
    /// Times it came back, for the backoff.
    var returns: UInt32 = 0
    /// It shared a worker that crashed: it runs alone until it is done.
    var suspect = false
    /// Crashes while it ran alone.
    var crashes = 0
    /// The newest attempt was held against it: a worker that comes back with that and is lost again adds nothing.
    var isHeldAgainst = false
    /// Attempts alone that found no memory, and the places of the workers that had none.
    var memoryFailures: UInt32 = 0
    var workersWithoutMemory: Set<Int> = []
    var lastLoss: JobLoss?
    var stepsDone: UInt64 = 0
    var stepsTotal: UInt64 = 0
    /// What it is charged to its client's limit.
    var bytes: Int

    var isDeadLetter: Bool { if case .deadLetter = state { true } else { false } }

    /// What a job weighs beside its payload.
    static let overhead = 512
}

/// A worker's right to do a job, for as long as it shows progress.
struct Lease: Sendable {
    /// Place of the worker's record.
    let worker: Int
    let fence: Fence
    /// Uptime at which it was given, or found again after a restart.
    var began: Int64
    /// False while its JOB waits for the disk: no worker has seen it, so none can have been brought down by it.
    var hasLeft: Bool
    /// Uptime; put off by progress of this job, and by progress of the worker as a whole (see `WorkerRecord.progress`).
    var deadline: Int64
    /// Uptime at which its timer rings: others that were set for it earlier do not count.
    var timer: Int64
    /// The worker runs nothing else meanwhile.
    let alone: Bool
    /// Until it is measured, in microseconds of worker time.
    let charged: UInt64
    /// Bytes that are kept free for its result.
    let expected: Int
}

/// A result that waits for its client.
struct Delivery: Sendable {
    let header: [UInt8]
    let sealed: [UInt8]
    /// Of the attempt that brought it: the same worker may say it again.
    let fence: Fence
    /// Unix time in milliseconds.
    var keptUntil: Int64
}

/// What is remembered of a job that is over, so that its id cannot be taken for another job.
///
/// Only the envelope is compared: it holds a key that an honest client draws anew for every sealed text. Of the envelope a hash is
/// kept: whoever finds another with the same one is told that his own job is over, and nobody else hears of it.
struct Tombstone: Sendable {
    private let envelope: Int
    let generation: UInt32
    let attempts: UInt32
    let end: JobEnd
    /// Unix time in milliseconds.
    let expires: Int64

    /// About what it takes of the process's memory, with its timer and what the journal keeps of it there.
    static let weight = 512

    init(_ job: Job, _ end: JobEnd) {
        envelope = Self.hash(job.envelope)
        generation = job.generation
        attempts = job.attempts
        self.end = end
        expires = job.expires
    }

    func isOf(_ envelope: [UInt8]) -> Bool { self.envelope == Self.hash(envelope) }

    /// Keyed anew in every process, so that nobody can reckon it.
    private static func hash(_ bytes: [UInt8]) -> Int {
        var hasher = Hasher()
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}

/// How a job came to its end.
package enum JobEnd: Sendable, Hashable {
    /// The client has its result.
    case acknowledged
    /// Over without a result.
    case ended(WireCode)
}

/// A running job's state, for the worker that has it next. The broker cannot read it.
struct Checkpoint: Sendable {
    let header: CheckpointHeader
    let bytes: [UInt8]
}

internal import DequeModule
internal import Wire

/// Jobs that the same workers can do: of one role and run, sealed for one pool key.
struct LaneKey: Hashable, Sendable {
    let role: WorkerRole
    let run: RunID
    let poolKey: PoolKeyID
}

/// Where jobs meet workers. All of a lane's jobs can be done by all of its workers, so neither side is ever searched. Those that
/// nobody suspects wait in the `FairQueue` of the role.
struct Lane: Sendable {
    let key: LaneKey
    /// Jobs that shared a worker that crashed, by client: each runs alone.
    var suspects: [Int: HandleQueue] = [:]
    /// Uptime until which its only worker is left to other jobs, if there are any.
    var quietUntil = Int64.min
    /// Places of the workers in session that hold the key.
    var workers: Set<Int> = []
    /// Those of them that may have room, in turn.
    var free: Deque<Int> = []
    var inFree: Set<Int> = []
    /// Gets no jobs until it is idle and can take a suspect.
    var reserved: Int?

    mutating func offer(_ worker: Int) {
        if inFree.insert(worker).inserted { free.append(worker) }
    }

    mutating func nextFree() -> Int? {
        guard let worker = free.popFirst() else { return nil }
        inFree.remove(worker)
        return worker
    }
}

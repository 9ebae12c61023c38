/// The jobs by handle: a slab, so that queues and timers hold eight bytes and never keep a job alive.
struct JobTable: Sendable {
    private var slots: [(serial: UInt32, job: Job?)] = []
    private var free: [Int32] = []
    private(set) var count = 0
    private(set) var deadLetters = 0

    /// - Returns: nil when the job is over.
    subscript(handle: JobHandle) -> Job? {
        let slot = slots[Int(handle.index)]
        return slot.serial == handle.serial ? slot.job : nil
    }

    mutating func insert(_ job: Job) -> JobHandle {
        count += 1
        if job.isDeadLetter { deadLetters += 1 }
        if let index = free.popLast() {
            slots[Int(index)].job = job
            return JobHandle(index: index, serial: slots[Int(index)].serial)
        }
        slots.append((0, job))
        return JobHandle(index: Int32(slots.count - 1), serial: 0)
    }

    mutating func update<Result>(_ handle: JobHandle, _ change: (inout Job) -> Result) -> Result? {
        guard slots[Int(handle.index)].serial == handle.serial, slots[Int(handle.index)].job != nil else { return nil }
        let wasDead = slots[Int(handle.index)].job!.isDeadLetter
        defer {
            deadLetters += (slots[Int(handle.index)].job!.isDeadLetter ? 1 : 0) - (wasDead ? 1 : 0)
        }
        return change(&slots[Int(handle.index)].job!)
    }

    mutating func remove(_ handle: JobHandle) -> Job? {
        guard slots[Int(handle.index)].serial == handle.serial, let job = slots[Int(handle.index)].job else {
            return nil
        }
        slots[Int(handle.index)].job = nil
        slots[Int(handle.index)].serial &+= 1
        free.append(handle.index)
        count -= 1
        if job.isDeadLetter { deadLetters -= 1 }
        return job
    }

    var handles: [JobHandle] {
        slots.indices.filter { slots[$0].job != nil }.map { JobHandle(index: Int32($0), serial: slots[$0].serial) }
    }
}

/// Names a job while it is in the table; afterwards it names nothing, though its place be taken again.
struct JobHandle: Hashable, Sendable {
    let index: Int32
    let serial: UInt32
}

internal import Wire

extension BrokerCore {
    mutating func lane(_ key: LaneKey) -> Int {
        if let place = lanePlaces[key] { return place }
        lanes.append(Lane(key: key))
        lanePlaces[key] = lanes.count - 1
        return lanes.count - 1
    }

    /// Lanes are for good. A worker may make so many that no job ever comes for.
    static let mostLanes = 1_024

    /// The worker takes jobs of its role, run and keys from now on. A key that no client was given yet is served too, unless there are many.
    mutating func serve(_ worker: Int, roles: Set<WorkerRole>, run: RunID, keys: [PoolKeyID]) {
        for role in WorkerRole.allCases where roles.contains(role) {
            for poolKey in keys {
                let key = LaneKey(role: role, run: run, poolKey: poolKey)
                let isKnown = lanePlaces[key] != nil || lanes.count < Self.mostLanes
                switch configuration.poolKeys[poolKey] {
                case let known? where known.role == role: join(key, worker)
                case nil where isKnown: join(key, worker)
                case nil: workers[worker].unserved.append(key)
                default: break
                }
            }
        }
        offer(worker)
    }

    /// Clients are given other keys from now on.
    mutating func serveKnown(_ worker: Int) {
        let known = workers[worker].unserved.filter { configuration.poolKeys[$0.poolKey]?.role == $0.role }
        guard !known.isEmpty else { return }
        workers[worker].unserved.removeAll { known.contains($0) }
        for key in known { join(key, worker) }
        offer(worker)
    }

    private mutating func join(_ key: LaneKey, _ worker: Int) {
        let lane = lane(key)
        lanes[lane].workers.insert(worker)
        workers[worker].lanes.append(lane)
    }

    /// The worker gets no more jobs.
    mutating func withdraw(_ worker: Int) {
        for lane in workers[worker].lanes { lanes[lane].workers.remove(worker) }
        workers[worker].lanes = []
        workers[worker].unserved = []
        free(worker)
    }

    mutating func leave(_ lane: Int, _ worker: Int) {
        lanes[lane].workers.remove(worker)
        workers[worker].lanes.removeAll { $0 == lane }
        if workers[worker].reservedFor == lane { free(worker) }
    }

    private mutating func free(_ worker: Int) {
        guard let lane = workers[worker].reservedFor else { return }
        workers[worker].reservedFor = nil
        lanes[lane].reserved = nil
    }

    // MARK: who gets what

    /// Puts a job of the table where it waits for a worker, and looks for one.
    mutating func enqueue(_ handle: JobHandle, first: Bool = false) {
        guard let job = jobs[handle] else { return }
        _ = jobs.update(handle) { $0.state = .queued }
        if job.suspect {
            lanes[job.lane].suspects[job.client, default: HandleQueue()].append(handle)
        } else {
            let rights = clients[job.client].rights
            queues[lanes[job.lane].key.role]?.push(
                handle, lane: job.lane, client: job.client, priority: rights.priority, weight: rights.weight,
                first: first, at: now.uptime)
        }
        dispatch(job.lane)
    }

    /// Jobs that wait in a lane.
    func waiting(in lane: Int) -> Int {
        lanes[lane].suspects.values.reduce(0) { $0 + $1.count } + (queues[lanes[lane].key.role]?.count(in: lane) ?? 0)
    }

    /// The worker may have room: its lanes are looked through for suspects, beginning with another each time.
    mutating func offer(_ worker: Int) {
        guard workers[worker].room(at: now.uptime) > 0, let first = workers[worker].lanes.first else { return }
        workers[worker].lanes.removeFirst()
        workers[worker].lanes.append(first)
        for lane in workers[worker].lanes {
            lanes[lane].offer(worker)
            dispatch(lane)
        }
    }

    /// Leases the lane's jobs for as long as there are jobs and room: suspects to idle workers, the others to workers in turn. A
    /// worker takes whichever job's turn it is among all of its lanes of the role.
    mutating func dispatch(_ lane: Int) {
        placeSuspects(lane)
        let role = lanes[lane].key.role
        while queues[role]?.count(in: lane) ?? 0 > 0, let worker = lanes[lane].nextFree() {
            guard lanes[lane].workers.contains(worker), workers[worker].room(at: now.uptime) > 0,
                workers[worker].reservedFor == nil
            else { continue }
            guard let handle = nextJob(of: role, for: worker) else { return lanes[lane].offer(worker) }
            lease(handle, to: worker, alone: false)
            if workers[worker].room(at: now.uptime) > 0 { lanes[lane].offer(worker) }
        }
    }

    /// Rare, so it may look at all of the lane's workers. While suspects wait and nobody is idle, one worker is kept free.
    private mutating func placeSuspects(_ lane: Int) {
        while maySuspectsRun(lane), let (client, handle) = nextSuspect(lane) {
            let fitting = workersFor(handle, in: lane)
            if let reserved = lanes[lane].reserved, !fitting.contains(reserved) {
                free(reserved)
                lanes[lane].offer(reserved)
            }
            let able = fitting.filter { workers[$0].room(at: now.uptime) > 0 }
            let isFree = { [workers] (worker: Int) in workers[worker].reservedFor ?? lane == lane }
            if let idle = able.filter({ workers[$0].leases.isEmpty && isFree($0) }).min() {
                if let reserved = lanes[lane].reserved { free(reserved) }
                changeSuspects(lane, client) { queue, wanted in _ = queue.popFirst(where: wanted) }
                lease(handle, to: idle, alone: true)
                continue
            }
            if lanes[lane].reserved == nil,
                let next = able.filter({ workers[$0].reservedFor == nil })
                    .min(by: { (workers[$0].leases.count, $0) < (workers[$1].leases.count, $1) })
            {
                lanes[lane].reserved = next
                workers[next].reservedFor = lane
            }
            return
        }
        if let reserved = lanes[lane].reserved {
            free(reserved)
            offer(reserved)
        }
    }

    /// Those that had no memory for the job are asked again only where there is no other.
    private func workersFor(_ handle: JobHandle, in lane: Int) -> Set<Int> {
        let others = lanes[lane].workers.subtracting(jobs[handle]?.workersWithoutMemory ?? [])
        return others.isEmpty ? lanes[lane].workers : others
    }

    private mutating func nextJob(of role: WorkerRole, for worker: Int) -> JobHandle? {
        let own = workers[worker].lanes.filter { lanes[$0].key.role == role }
        while let client = queues[role]?.nextClient(of: own, at: now.uptime) {
            guard mayLease(of: client, role) else {
                if clients[client].held.isEmpty { held.append(client) }
                clients[client].held.insert(role)
                queues[role]?.hold(client, at: now.uptime)
                continue
            }
            let jobs = jobs
            return queues[role]?.pop(from: own, at: now.uptime, where: { jobs.isQueued($0, suspect: false) })
        }
        return nil
    }

    /// Suspects run alone, and those of one client could keep all workers from the others: while other jobs wait they get half of the
    /// lane's workers, or of its only worker's time.
    private func maySuspectsRun(_ lane: Int) -> Bool {
        guard !lanes[lane].suspects.isEmpty else { return false }
        guard queues[lanes[lane].key.role]?.count(in: lane) ?? 0 > 0 else { return true }
        let count = lanes[lane].workers.count
        if count < 2 { return now.uptime >= lanes[lane].quietUntil }
        return lanes[lane].workers.count { workers[$0].alone } < count / 2
    }

    /// Of the client that is furthest behind: whoever only shared a worker with what crashes goes before who sends it.
    private mutating func nextSuspect(_ lane: Int) -> (client: Int, handle: JobHandle)? {
        let role = lanes[lane].key.role
        func rank(_ client: Int) -> (Int64, Double, Int) {
            let standing = queues[role]?.standing(of: client) ?? (band: 0, clock: 0)
            return (standing.band, standing.clock, client)
        }
        while let client = lanes[lane].suspects.keys.min(by: { rank($0) < rank($1) }) {
            var handle: JobHandle?
            changeSuspects(lane, client) { queue, wanted in handle = queue.first(where: wanted) }
            if let handle { return (client, handle) }
            lanes[lane].suspects[client] = nil
        }
        return nil
    }

    private mutating func changeSuspects(
        _ lane: Int, _ client: Int, _ change: (inout HandleQueue, (JobHandle) -> Bool) -> Void
    ) {
        guard var queue = lanes[lane].suspects.removeValue(forKey: client) else { return }
        let jobs = jobs
        change(&queue) { jobs.isQueued($0, suspect: true) }
        if !queue.isEmpty { lanes[lane].suspects[client] = queue }
    }

    /// A job that was waiting in its lane is not any more, and was not leased by `dispatch`.
    mutating func leaveQueue(lane: Int, client: Int, suspect: Bool) {
        if suspect {
            changeSuspects(lane, client) { queue, wanted in queue.removed(where: wanted) }
        } else {
            let jobs = jobs
            queues[lanes[lane].key.role]?.removed(
                from: lane, of: client, at: now.uptime, where: { jobs.isQueued($0, suspect: false) })
        }
    }
}

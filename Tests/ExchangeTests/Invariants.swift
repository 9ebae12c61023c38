import Wire

@testable import Exchange

/// What must hold of a broker's state between any two events, counted afresh.
enum Invariants {
    static func violations(of broker: BrokerCore) -> [String] {
        var violations: [String] = []
        func require(_ holds: Bool, _ what: @autoclosure () -> String) { if !holds { violations.append(what()) } }

        var bytes = 0
        var jobs = 0
        var waiting = [Int](repeating: 0, count: broker.lanes.count)
        var leases = [Int](repeating: 0, count: broker.workers.count)
        for (place, client) in broker.clients.enumerated() {
            for (id, handle) in client.jobs {
                guard let job = broker.jobs[handle] else {
                    violations.append("a client names a job that is not in the table")
                    continue
                }
                jobs += 1
                bytes += job.bytes
                require(job.key.job == id && job.client == place, "a job is filed under another's name")
                require(client.tombstones[id] == nil, "a job is live and over at once")
                switch job.state {
                case .queued: waiting[job.lane] += 1
                case .leased(let lease):
                    leases[lease.worker] += 1
                    require(broker.workers[lease.worker].leases.contains(handle), "a lease its worker does not have")
                case .delayed, .inMailbox, .deadLetter: break
                }
            }
        }
        for place in broker.clients.indices where broker.clients[place].session != nil {
            var copy = broker
            require(copy.nextDelivery(to: place) == nil, "a result waits though its client's window has room")
        }
        let checkpoints = broker.jobs.handles.compactMap { broker.jobs[$0]?.checkpoint }
        require(
            checkpoints.reduce(0) { $0 + $1.bytes.count } == broker.checkpoints.bytes,
            "checkpoints are not counted right")
        require(
            checkpoints.count == broker.checkpoints.versions.values.reduce(0) { $0 + $1.values.reduce(0, +) },
            "versions are not counted right")
        require(jobs == broker.jobs.count && jobs == broker.usage.jobs, "jobs are in the table that no client names")
        require(bytes == broker.usage.bytes, "bytes: \(bytes) counted, \(broker.usage.bytes) kept")
        for (place, lane) in broker.lanes.enumerated() where broker.recovered.isEmpty {
            require(waiting[place] == lane.waiting, "lane: \(waiting[place]) wait, \(lane.waiting) in the queue")
        }
        for (place, worker) in broker.workers.enumerated() {
            require(leases[place] == worker.leases.count, "a worker has leases that no job names")
            require(worker.slots == 0 || worker.leases.count <= worker.slots, "more leases than slots")
            if worker.alone { require(worker.leases.count == 1, "a suspect is not alone") }
        }
        return violations
    }
}

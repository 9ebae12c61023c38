import Wire

@testable import Exchange

/// What must hold of a broker's state between any two events, counted afresh.
enum Invariants {
    static func violations(of broker: BrokerCore) -> [String] {
        var violations: [String] = []
        func require(_ holds: Bool, _ what: @autoclosure () -> String) { if !holds { violations.append(what()) } }

        let limits = broker.configuration.limits
        var all = Usage()
        var bytes = 0
        var jobs = 0
        var waiting = [Int](repeating: 0, count: broker.lanes.count)
        var leases = [Int](repeating: 0, count: broker.workers.count)
        for (place, client) in broker.clients.enumerated() {
            var own = Usage()
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
                    own.expected += lease.expected
                    require(broker.workers[lease.worker].leases.contains(handle), "a lease its worker does not have")
                case .inMailbox: own.results += job.bytes
                case .delayed, .deadLetter: break
                }
            }
            own.tombstones = client.tombstones.count
            require(
                own.results == client.usage.results && own.expected == client.usage.expected
                    && own.tombstones == client.usage.tombstones,
                "results or tombstones of a client are not counted right")
            all.results += own.results
            all.expected += own.expected
            all.tombstones += own.tombstones
            let quota = limits.of(client.rights)
            require(
                client.usage.bytes - own.results <= quota.bytesPerClient && own.results <= quota.resultBytesPerClient,
                "a client has more bytes than it may")
            for role in client.held {
                require(!broker.mayLease(of: place, role), "a client is held back though there is room")
            }
        }
        require(
            all.results == broker.usage.results && all.expected == broker.usage.expected
                && all.tombstones == broker.usage.tombstones, "results or tombstones are not counted right")
        require(
            broker.usage.bytes - all.results <= limits.bytes && all.results <= limits.resultBytes
                && broker.usage.bytes + all.tombstones * Tombstone.weight <= limits.memory,
            "more bytes than there may be")
        require(jobs + all.tombstones <= limits.remembered, "more jobs are remembered than there may be")
        for client in broker.clients where client.session != nil {
            var mailbox = client.mailbox
            let next = mailbox.next(
                window: (broker.configuration.resultWindow, broker.configuration.resultWindowBytes),
                where: { broker.jobs.isInMailbox($0) }, size: { broker.jobs[$0]?.bytes ?? 0 })
            require(next == nil, "a result waits though its client's window has room")
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
            require(
                waiting[place] == broker.waiting(in: place),
                "lane \(lane.key): \(waiting[place]) wait, \(broker.waiting(in: place)) in the queue")
        }
        for (place, worker) in broker.workers.enumerated() {
            require(leases[place] == worker.leases.count, "a worker has leases that no job names")
            require(worker.slots == 0 || worker.leases.count <= worker.slots, "more leases than slots")
            if worker.alone { require(worker.leases.count == 1, "a suspect is not alone") }
        }
        return violations
    }
}

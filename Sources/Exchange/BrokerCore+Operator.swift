package import Wire

internal import struct Foundation.Data

extension BrokerCore {
    /// New keys are handed to every client in session.
    package mutating func renew(
        keyBundle: [UInt8], poolKeys: [PoolKeyID: BrokerConfiguration.PoolKey], at moment: Moment
    ) -> [BrokerAction] {
        begin(moment)
        configuration.poolKeys = poolKeys
        if configuration.keyBundle != keyBundle {
            configuration.keyBundle = keyBundle
            var keys = WireKeys()
            keys.keyBundle = Data(keyBundle)
            for client in clients.indices { send(.keys(keys), to: clients[client].session) }
        }
        for worker in workers.indices { serveKnown(worker) }
        return finish()
    }

    package mutating func serve(runs: Set<RunID>) { configuration.runs = runs }

    /// Whether the journal can store. While it cannot, new jobs are refused and everything else goes on.
    package mutating func takeJobs(_ canStore: Bool) { takesJobs = canStore }

    /// No new jobs from now on; workers and results go on.
    package mutating func drain(at moment: Moment) -> [BrokerAction] {
        begin(moment)
        draining = true
        for worker in workers.indices { send(.drain(WireDrain()), to: workers[worker].session) }
        return finish()
    }

    /// What a drain waits for: jobs that are under way, and results whose client is here to take them.
    package var undrained: Int {
        jobs.handles.count { handle in
            guard let job = jobs[handle] else { return false }
            switch job.state {
            case .queued, .delayed, .leased: return true
            case .inMailbox: return clients[job.client].session != nil
            case .deadLetter: return false
            }
        }
    }

    /// Jobs that were given up, by this process or an earlier one, and wait for the operator.
    package var deadLetters: Int { jobs.deadLetters }

    /// Says goodbye to all. What was accepted is in the journal.
    package mutating func close(at moment: Moment) -> [BrokerAction] {
        begin(moment)
        draining = true
        for connection in sessions.sessions.keys.sorted(by: { $0.number < $1.number }) {
            dismiss(connection, "the broker is going down")
        }
        return finish()
    }

    // MARK: figures

    package var snapshot: BrokerSnapshot {
        BrokerSnapshot(
            counters: counters, sessions: sessions.openCount, jobs: usage.jobs, bytes: usage.bytes,
            tombstones: usage.tombstones, roles: roles())
    }

    func roleStatus() -> WireStatus {
        var status = WireStatus()
        status.role = roles().map { figures in
            var role = WireRoleStatus()
            role.role = figures.role.rawValue
            role.workers = UInt32(clamping: figures.workers)
            role.slots = UInt32(clamping: figures.slots)
            role.leased = UInt32(clamping: figures.leased)
            role.queued = UInt32(clamping: figures.queued)
            return role
        }
        let models = workers.filter { $0.ready && $0.roles.contains(.denoise) }.map(\.model)
        if let newest = models.max(by: { $0.version < $1.version }), newest.version > 0 { status.model = newest }
        return status
    }

    private func roles() -> [BrokerSnapshot.Role] {
        WorkerRole.allCases.map { role in
            let able = workers.filter { $0.ready && $0.roles.contains(role) }
            let own = lanes.indices.filter { lanes[$0].key.role == role }
            return BrokerSnapshot.Role(
                role: role, workers: able.count, slots: able.reduce(0) { $0 + $1.slots },
                leased: able.reduce(0) { $0 + $1.leases.count }, queued: own.reduce(0) { $0 + waiting(in: $1) })
        }
    }
}

/// Counted since the start.
package struct BrokerCounters: Hashable, Sendable {
    package var submitted = 0
    package var accepted = 0
    package var rejected = 0
    package var conflicts = 0
    package var leased = 0
    package var readopted = 0
    package var leasesLost = 0
    package var handedBack = 0
    /// Checkpoints that were kept, those that found no room, and jobs that were leased with one.
    package var checkpoints = 0
    package var checkpointsRefused = 0
    package var resumed = 0
    /// Of those that were leased again after a sign of progress: the steps that are done again, by what was told of them.
    package var stepsRedone = 0
    package var finished = 0
    package var staleResults = 0
    /// Results that found no room, and were made again.
    package var resultsRefused = 0
    package var acknowledged = 0
    package var cancelled = 0
    package var expired = 0
    package var deadLetters = 0
    package var endedOtherwise = 0
    package var sessionsOpened = 0
    package var dismissed = 0
    package var gaps = 0
    package var garbage = 0
    package var unreadableEntries = 0
}

package struct BrokerSnapshot: Hashable, Sendable {
    package struct Role: Hashable, Sendable {
        package let role: WorkerRole
        package let workers: Int
        package let slots: Int
        package let leased: Int
        package let queued: Int
    }

    package let counters: BrokerCounters
    package let sessions: Int
    package let jobs: Int
    package let bytes: Int
    package let tombstones: Int
    package let roles: [Role]
}

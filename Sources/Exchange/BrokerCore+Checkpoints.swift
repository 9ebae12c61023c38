internal import Wire

/// What checkpoints weigh in all, and which model versions they need.
struct CheckpointUsage: Sendable {
    var bytes = 0
    /// How many checkpoints of a run name a version.
    var versions: [RunID: [UInt64: Int]] = [:]

    mutating func add(_ checkpoint: Checkpoint, of run: RunID) {
        bytes += checkpoint.bytes.count
        versions[run, default: [:]][checkpoint.header.modelVersion, default: 0] += 1
    }

    mutating func remove(_ checkpoint: Checkpoint, of run: RunID) {
        bytes -= checkpoint.bytes.count
        let version = checkpoint.header.modelVersion
        let left = (versions[run]?[version] ?? 0) - 1
        versions[run]?[version] = left > 0 ? left : nil
        if versions[run]?.isEmpty == true { versions[run] = nil }
    }
}

extension BrokerCore {
    /// Keeps the newest checkpoint of a job under its newest fence, for the next attempt. A sign of progress.
    ///
    /// One that finds no room is dropped: the next attempt then redoes more, or all.
    mutating func store(_ message: WireCheckpoint, _ bytes: [UInt8], from worker: Int) {
        guard let (handle, fence) = find(message.job), lease(of: handle, worker, fence) != nil, let job = jobs[handle]
        else { return }
        prolong(handle)
        let checkpoint = Checkpoint(
            header: CheckpointHeader(
                fence: fence, step: message.step, modelVersion: message.modelVersion, worker: workers[worker].id),
            bytes: bytes)
        let more = bytes.count - (job.checkpoint?.bytes.count ?? 0)
        let limits = configuration.limits.of(clients[job.client].rights)
        guard bytes.count <= limits.bytesPerResult, checkpoints.bytes + more <= limits.checkpointBytes,
            usage.bytes + more <= limits.bytes, clients[job.client].usage.bytes + more <= limits.bytesPerClient
        else {
            counters.checkpointsRefused += 1
            return
        }
        counters.checkpoints += 1
        forgetCheckpoint(of: handle)
        guard let weight = jobs[handle]?.bytes else { return }
        weigh(handle, bytes: weight + bytes.count)
        _ = jobs.update(handle) { job in
            job.checkpoint = checkpoint
            job.stepsDone = max(job.stepsDone, UInt64(checkpoint.header.step))
        }
        checkpoints.add(checkpoint, of: lanes[job.lane].key.run)
    }

    mutating func forgetCheckpoint(of handle: JobHandle) {
        guard let job = jobs[handle], let checkpoint = job.checkpoint else { return }
        weigh(handle, bytes: job.bytes - checkpoint.bytes.count)
        _ = jobs.update(handle) { $0.checkpoint = nil }
        checkpoints.remove(checkpoint, of: lanes[job.lane].key.run)
    }

    /// Tells a trainer which versions of its run somebody still needs: those of checkpoints, and those that workers with leases named.
    func pong(to worker: Int) -> WirePong {
        var pong = WirePong()
        guard workers[worker].roles.contains(.train) else { return pong }
        let runs = Set(workers[worker].lanes.map { lanes[$0].key.run })
        var needed: Set<UInt64> = []
        for run in runs { needed.formUnion(checkpoints.versions[run]?.keys.map { $0 } ?? []) }
        for other in workers
        where !other.leases.isEmpty && other.lanes.contains(where: { runs.contains(lanes[$0].key.run) }) {
            needed.formUnion(other.versionsInUse)
        }
        pong.versionInUse = needed.sorted().suffix(Self.versionsTold)
        return pong
    }

    private static let versionsTold = 256
}

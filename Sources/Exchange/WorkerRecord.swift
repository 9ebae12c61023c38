internal import Wire

/// What the broker knows of a worker. Records are as many as there are certificates, and stay.
struct WorkerRecord: Sendable {
    let id: WorkerID
    /// Those of the certificate.
    var allowed: Set<WorkerRole> = []
    var session: ConnectionID?
    /// Uptime at which the last session ended; nil: it is here.
    var leftAt: Int64?
    /// READY came in this session.
    var ready = false
    var roles: Set<WorkerRole> = []
    var slots = 0
    /// Places of the lanes that it serves.
    var lanes: [Int] = []
    /// Those of its offer that were one too many when no client had been given their keys.
    var unserved: [LaneKey] = []
    /// Leases outlive the session: a worker that comes back names those it still holds.
    var leases: Set<JobHandle> = []
    /// It runs a suspect and gets nothing else.
    var alone = false
    /// The lane whose next suspect it is kept free for.
    var reservedFor: Int?
    var draining = false
    /// Uptime before which it gets no job: it said that it has no room.
    var pausedUntil = Int64.min
    /// Forward passes or optimiser steps since its start.
    var iterations: UInt64 = 0
    /// Uptime at which `iterations` last grew: it puts off the end of all its leases. A hung engine beats without progress.
    var progress = Int64.min / 2
    var model = WireModelVersion()
    /// Versions that its running samples began with, as it said last.
    var versionsInUse: [UInt64] = []

    func room(at now: Int64) -> Int {
        guard session != nil, ready, !draining, !alone, now >= pausedUntil else { return 0 }
        return slots - leases.count
    }
}

package import Sealing
internal import Sodium
package import Trust
package import Wire

/// How jobs are put into the spool, and come out of it sealed.
extension Release {
    /// The same bytes under a new pool key, when the old one is gone or the job has expired: the next generation.
    package func reseal(
        _ job: JobID, to poolKey: PoolKey, now: UnixTime, lifetime: UnixTime = Release.defaultLifetime
    ) throws(ClientError) {
        let entry = try spool.entry(job), old = entry.envelope
        try add(
            spool.body(job), job: job, generation: old.generation + 1, kind: old.kind, isRelease: entry.isRelease,
            poolKey, now, lifetime, old.costCeiling)
    }

    /// The same bytes as another job, where the broker holds the old one's result for acknowledged and this home never had it. A
    /// trainer that has them already gives its receipt again.
    ///
    /// - Returns: the other job; the old one is forgotten.
    package func renew(
        _ job: JobID, to poolKey: PoolKey, now: UnixTime, lifetime: UnixTime = Release.defaultLifetime
    ) throws(ClientError) -> JobID {
        let entry = try spool.entry(job), old = entry.envelope
        let new = try add(
            spool.body(job), kind: old.kind, isRelease: entry.isRelease, poolKey, now, lifetime, old.costCeiling)
        // A crash before this leaves both, and each brings a result.
        try forget(job)
        return new
    }

    /// Seals a job of the spool: the same bytes each time.
    package func sealed(_ job: JobID, by sealer: JobSealer) throws(ClientError) -> (envelope: Envelope, sealed: [UInt8])
    {
        let entry = try spool.entry(job)
        do {
            let sealed = try sealer.seal(
                spool.body(job), in: entry.envelope, ephemeral: spool.ephemeral(job), poolKey: entry.poolKey)
            return (entry.envelope, sealed)
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError(.storage, "\(error)")
        }
    }

    /// Whether a job is of this home, in its spool or forgotten, and not of another home of the same client.
    func made(_ job: JobID) -> Bool { spool.entries[job] != nil || key.named(job) }

    /// Spools a new job.
    ///
    /// - Parameter isRelease: whether it was made from private images.
    func add(
        _ body: [UInt8], kind: WireJobKind, isRelease: Bool, _ poolKey: PoolKey, _ now: UnixTime,
        _ lifetime: UnixTime, _ costCeiling: UInt64
    ) throws(ClientError) -> JobID {
        let job: JobID
        do { job = key.job(try SecureRandom().bytes(8)) } catch { throw ClientError(.storage, error.message) }
        try add(
            body, job: job, generation: 0, kind: kind, isRelease: isRelease, poolKey, now, lifetime, costCeiling)
        return job
    }

    private func add(
        _ body: [UInt8], job: JobID, generation: UInt32, kind: WireJobKind, isRelease: Bool, _ poolKey: PoolKey,
        _ now: UnixTime, _ lifetime: UnixTime, _ costCeiling: UInt64
    ) throws(ClientError) {
        guard poolKey.role == PoolRole(serving: kind) else {
            throw ClientError(.badRequest, "a job of this kind is not for the role \(poolKey.role.rawValue)")
        }
        let ephemeral: X25519KeyPair
        do { ephemeral = try X25519KeyPair.generate() } catch { throw ClientError(.storage, error.message) }
        let envelope = Envelope(
            client: client, job: job, generation: generation, kind: kind, run: run.id, costCeiling: costCeiling,
            created: now,
            expires: now + lifetime, poolKey: poolKey.id, clientEphemeralKey: ephemeral.publicKey)
        try spool.add(
            envelope, body: body, isRelease: isRelease, ephemeral: ephemeral, poolKey: poolKey.key)
    }
}

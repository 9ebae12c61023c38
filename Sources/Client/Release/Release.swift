internal import Chain
internal import Diffusion
package import Foundation
internal import Safetensors
package import Sealing
internal import Sodium
package import Trust
package import Wire

/// What becomes of a publication.
package enum ReleasePolicy: Hashable, Sendable {
    /// Masked once (`mask` 0), or K times (0 … K−1), and trained on for ever.
    case once(mask: UInt32 = 0)
    /// Masked anew in every epoch, and trained on once. Each epoch adds to what is given away.
    case fresh(epoch: UInt32)

    var mask: UInt32 {
        switch self {
        case .once(let mask): mask
        case .fresh(let epoch): epoch
        }
    }

    var message: WireReleasePolicy {
        switch self {
        case .once: .once
        case .fresh: .fresh
        }
    }
}

/// The home of a client: **the only maker of masked images**, and of the jobs that carry them.
///
///     let release = try Release(opening: home, run: run, client: id)
///     if let job = try await release.publish(images, at: 500, as: .once(), to: poolKey, now: now) {
///         let (envelope, sealed) = try await release.sealed(job, by: sealer)      // as often as it takes
///         // … the result comes: header, sealed …
///         let answer = try await release.open(sealed, header: header, of: job, by: opener, now: now)
///         try await release.surface(answer, of: job)                              // then RESULT_ACK
///         try await release.forget(job)                                           // once that is stored
///     }
///
/// The order is what keeps the promise "one mask for each image": first the ledger is on disk, then the spool, then something
/// is sealed. A crash anywhere between is followed by the same masks and no second charge, because a mask is made of the
/// masking key and the release's name alone. Calls block for a few flushes of the disk.
package actor Release {
    let run: CertifiedRun
    let client: ClientID
    let key: MaskingKey
    let ledger: Ledger
    let spool: Spool
    private let lock: HomeLock

    /// How long a job may live when nothing else is said: a day, as long as a pool key.
    package static let defaultLifetime: UnixTime = .day

    /// - Parameter limit: the most that one image's releases may show together; nil keeps what the home has (3 dB at first).
    /// - Throws: `.storage`, naming the process that holds the home, or what is missing or damaged.
    package init(
        opening home: URL, run: CertifiedRun, client: ClientID, limitDecibels limit: Double? = nil
    ) throws(ClientError) {
        try self.init(opening: home, run: run, client: client, limitDecibels: limit, steps: StorageSteps())
    }

    init(
        opening home: URL, run: CertifiedRun, client: ClientID, limitDecibels: Double?, steps: StorageSteps
    ) throws(ClientError) {
        lock = try HomeLock(home)
        self.run = run
        self.client = client
        let url = home.appending(path: "ledger")
        let hasLedger = FileManager.default.fileExists(atPath: url.path)
        guard hasLedger || !Spool.exists(in: home) else {
            throw ClientError(
                .storage,
                "\(url.path) is missing, and this home has released images: restore it from a copy. "
                    + "Without it nobody knows what they give away")
        }
        key = try MaskingKey.open(in: home, mayMake: !hasLedger)
        var limit: SNRFloor?
        do { limit = try limitDecibels.map { decibels in try SNRFloor(decibels: decibels) } } catch {
            throw ClientError(.badSettings, "\(error)")
        }
        ledger = try Ledger(opening: url, fingerprint: key.fingerprint, limit: limit, steps: steps)
        spool = try Spool(in: home, steps: steps)
        // Receipts that were surfaced when the last process ended. Results of jobs that were forgotten are asked for by nobody.
        for job in try spool.resultNames() {
            try Self.settle(job, ledger, spool)
            if spool.entries[job] == nil { try spool.removeResult(job) }
        }
    }

    // MARK: jobs

    /// What the ledger calls the releases of these images.
    ///
    /// - Throws: `.badImages`, `.badRequest` (cut or label out of range).
    func names(
        of images: OwnImages, at timestep: Int, as policy: ReleasePolicy
    ) throws(ClientError) -> [ReleaseName] {
        _ = try labels(images)
        return try releaseNames(images, cut: cut(timestep), mask: policy.mask)
    }

    /// Enters releases in the ledger, all or none, before jobs are made of them one by one.
    ///
    /// - Throws: `.limitReached`, and then nothing has changed; `.storage`.
    func reserve(_ names: [ReleaseName]) throws(ClientError) {
        _ = try ledger.enter(names, on: run.descriptor.schedule)
    }

    /// Masks images and makes a job of them.
    ///
    /// Images that a worker's receipt names, or that are in the spool, are left out; so calling again after a crash goes on where it
    /// was. Two images with the same values are one.
    ///
    /// - Parameters:
    ///   - images: of the run's shape. A job carries as many as a broker takes in one payload.
    ///   - lifetime: in milliseconds, until the job expires.
    /// - Returns: the job in the spool; nil when there is nothing left to publish.
    /// - Throws: `.badImages`, `.badRequest` (cut or label out of range), `.limitReached`, `.storage`.
    package func publish(
        _ images: OwnImages, at timestep: Int, as policy: ReleasePolicy, to poolKey: PoolKey, now: UnixTime,
        lifetime: UnixTime = Release.defaultLifetime, costCeiling: UInt64 = 0
    ) throws(ClientError) -> JobID? {
        let cut = try cut(timestep)
        let labels = try labels(images)
        var rows: [Int] = []
        var names: [ReleaseName] = []
        var seen: Set<ReleaseName> = []
        for (row, name) in try releaseNames(images, cut: cut, mask: policy.mask).enumerated() {
            let publication = key.publication(name)
            guard seen.insert(name).inserted, !ledger.isStored(publication), !spool.publications.contains(publication)
            else {
                continue
            }
            rows.append(row)
            names.append(name)
        }
        guard !rows.isEmpty else { return nil }
        let records = try ledger.enter(names, on: run.descriptor.schedule)
        let chosen = try images.rows(rows)
        var payload = WirePayload()
        payload.publishRequest.cut = UInt32(cut.timestep)
        payload.publishRequest.publicationID = names.map { Data(key.publication($0).bytes) }
        payload.publishRequest.label = rows.map { labels[$0] }
        payload.publishRequest.policy = policy.message
        payload.tensors = try tensors("masked", mask(chosen, records), chosen)
        return try add(payload.encoded, kind: .publish, poolKey, now, lifetime, costCeiling)
    }

    /// Makes a job of a request that starts from noise: nothing of any image leaves.
    package func denoise(
        _ request: WireDenoiseRequest, to poolKey: PoolKey, now: UnixTime, lifetime: UnixTime = Release.defaultLifetime,
        costCeiling: UInt64 = 0
    ) throws(ClientError) -> JobID {
        var payload = WirePayload()
        payload.denoiseRequest = request
        return try add(payload.encoded, kind: .denoise, poolKey, now, lifetime, costCeiling)
    }

    /// Makes a job of a request that starts from masked images, at the first of its timesteps. This is a release like any other.
    ///
    /// - Throws: `.badImages`, `.badRequest`, `.limitReached`, `.storage`.
    package func denoise(
        _ request: WireDenoiseRequest, from images: OwnImages, mask: UInt32 = 0, to poolKey: PoolKey, now: UnixTime,
        lifetime: UnixTime = Release.defaultLifetime, costCeiling: UInt64 = 0
    ) throws(ClientError) -> JobID {
        let start: Cut
        do { start = try Cut(Int(request.timestep.first ?? 0), on: run.descriptor.schedule) } catch {
            throw ClientError(.badRequest, error.message)
        }
        let records = try ledger.enter(
            releaseNames(images, cut: start, mask: mask), on: run.descriptor.schedule)
        var payload = WirePayload()
        payload.denoiseRequest = request
        payload.tensors = try tensors("x", self.mask(images, records), images)
        return try add(payload.encoded, kind: .denoise, poolKey, now, lifetime, costCeiling)
    }

    /// The same bytes under a new pool key, when the old one is gone or the job has expired: the next generation.
    package func reseal(
        _ job: JobID, to poolKey: PoolKey, now: UnixTime, lifetime: UnixTime = Release.defaultLifetime
    ) throws(ClientError) {
        let old = try spool.entry(job).envelope
        try spool(
            spool.body(job), job: job, generation: old.generation + 1, kind: old.kind, poolKey, now, lifetime,
            old.costCeiling)
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

    private func add(
        _ body: [UInt8], kind: WireJobKind, _ poolKey: PoolKey, _ now: UnixTime, _ lifetime: UnixTime,
        _ costCeiling: UInt64
    ) throws(ClientError) -> JobID {
        var random: SecureRandom
        do { random = try SecureRandom() } catch { throw ClientError(.storage, error.message) }
        let job = JobID.random(using: &random)
        try spool(body, job: job, generation: 0, kind: kind, poolKey, now, lifetime, costCeiling)
        return job
    }

    private func spool(
        _ body: [UInt8], job: JobID, generation: UInt32, kind: WireJobKind, _ poolKey: PoolKey, _ now: UnixTime,
        _ lifetime: UnixTime, _ costCeiling: UInt64
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
        try spool.add(envelope, body: body, ephemeral: ephemeral, poolKey: poolKey.key)
    }

    // MARK: checks

    func cut(_ timestep: Int) throws(ClientError) -> Cut {
        do { return try run.descriptor.cut(timestep) } catch { throw ClientError(.badRequest, error.message) }
    }

    /// Indices of label names; the number of names stands for "none".
    private func labels(_ images: OwnImages) throws(ClientError) -> [UInt32] {
        let count = run.descriptor.labels.count
        return try images.labels.map { label throws(ClientError) in
            guard let label else { return UInt32(count) }
            guard (0..<count).contains(label) else {
                throw ClientError(
                    .badRequest, "label \(label) is out of range: the run has \(count) labels, 0 to \(count - 1)")
            }
            return UInt32(label)
        }
    }

    func releaseNames(_ images: OwnImages, cut: Cut, mask: UInt32) throws(ClientError) -> [ReleaseName] {
        let shape = run.descriptor.image
        guard images.shape == [shape.channels, shape.height, shape.width] else {
            throw ClientError(
                .badImages, "the run's images are \(shape), not \(images.shape): scale or crop them first")
        }
        return (0..<images.count).map { row in
            ReleaseName(
                image: key.name(ofImage: images.image(row), shape: images.shape), run: run.id, cut: cut.timestep,
                mask: mask)
        }
    }

    private func tensors(_ name: String, _ values: [Float], _ images: OwnImages) throws(ClientError) -> Data {
        do {
            var archive = SafetensorsArchive()
            try archive.append(.init(name: name, shape: [images.count] + images.shape, floats: values))
            return archive.encoded()
        } catch {
            throw ClientError(.badImages, "\(error)")
        }
    }
}

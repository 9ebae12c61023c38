internal import Chain
internal import Diffusion
package import Foundation
internal import Safetensors
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

    /// The home's key and ledger, to make masks with.
    var masks: Masks { Masks(run: run, key: key, book: ledger.book) }

    /// How long a job may live when nothing else is said: a day, as long as a pool key.
    package static let defaultLifetime: UnixTime = .day

    /// Whether the home was made when it was opened.
    package let isNew: Bool
    /// The owner's limit in decibels, before it was opened with another one.
    package let formerLimit: Double?

    /// - Parameters:
    ///   - limit: the most that one image's releases may show together; nil keeps what the home has (3 dB at first).
    ///   - mayMake: whether a home that is not there is made.
    ///   - kit: the fingerprint of the only home that the client may have; nil: it has none yet.
    /// - Throws: `.storage`, naming the process that holds the home, or what is missing or damaged; `.badSettings` for a home that is not
    ///   there, or is not the client's.
    package init(
        opening home: URL, run: CertifiedRun, client: ClientID, limitDecibels limit: Double? = nil,
        mayMake: Bool = true, only kit: [UInt8]? = nil
    ) throws(ClientError) {
        try self.init(
            opening: home, run: run, client: client, limitDecibels: limit, mayMake: mayMake, only: kit,
            steps: StorageSteps())
    }

    init(
        opening home: URL, run: CertifiedRun, client: ClientID, limitDecibels: Double?, mayMake: Bool = true,
        only kit: [UInt8]? = nil, steps: StorageSteps
    ) throws(ClientError) {
        let isNew = !Home.exists(home)
        if isNew {
            guard kit == nil else { throw Home.isAnother(home, kit) }
            guard mayMake else { throw Home.isMissing(home) }
        }
        self.isNew = isNew
        lock = try HomeLock(home)
        try Home.sweep(home)
        self.run = run
        self.client = client
        let url = Home.ledger(home)
        let hasLedger = FileManager.default.fileExists(atPath: url.path)
        guard hasLedger || !Spool.exists(in: home) else {
            throw ClientError(
                .storage,
                "\(url.path) is missing, and this home has released images: restore it from a copy. "
                    + "Without it nobody knows what they give away")
        }
        let key = try MaskingKey.open(in: home, mayMake: !hasLedger)
        guard kit == nil || kit == key.fingerprint else { throw Home.isAnother(home, kit) }
        var limit: SNRFloor?
        do { limit = try limitDecibels.map { decibels in try SNRFloor(decibels: decibels) } } catch {
            throw ClientError(.badSettings, "\(error)")
        }
        let ledger = try Ledger(opening: url, fingerprint: key.fingerprint, limit: limit, steps: steps)
        let spool = try Spool(in: home, steps: steps)
        // Receipts that were surfaced when the last process ended. Results of jobs that were forgotten are asked for by nobody.
        for job in try spool.resultNames() {
            try Self.settle(job, ledger, spool)
            if spool.entries[job] == nil { try spool.removeResult(job) }
        }
        self.key = key
        formerLimit = ledger.formerLimit.map { decibelValue($0.snr) }
        self.ledger = ledger
        self.spool = spool
    }

    /// What its masks are made of, and so which home it is.
    package nonisolated var fingerprint: [UInt8] { key.fingerprint }

    // MARK: jobs

    /// What the ledger calls the releases of these images.
    ///
    /// - Throws: `.badImages`, `.badRequest` (cut or label out of range).
    func names(
        of images: OwnImages, at timestep: Int, as policy: ReleasePolicy
    ) throws(ClientError) -> [ReleaseName] {
        _ = try labels(images)
        return try masks.names(images, cut: masks.cut(timestep), mask: policy.mask)
    }

    /// In which order releases leave: by what the server calls them. It is another for every epoch, so that a place in the order does
    /// not tell which masks are of one image, and the same whenever publishing is begun again.
    nonisolated func order(of names: [ReleaseName]) -> [Int] {
        let keys = names.map { key.publication($0).bytes }
        return keys.indices.sorted { keys[$0].lexicographicallyPrecedes(keys[$1]) }
    }

    /// What this client's head draws with where the workers are told `seed`.
    nonisolated func headSeed(_ seed: UInt64) -> UInt64 { key.headSeed(seed) }

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
        let cut = try masks.cut(timestep)
        let labels = try labels(images)
        var rows: [Int] = []
        var names: [ReleaseName] = []
        var seen: Set<ReleaseName> = []
        for (row, name) in try masks.names(images, cut: cut, mask: policy.mask).enumerated() {
            let publication = key.publication(name)
            guard seen.insert(name).inserted, !ledger.isStored(publication), !spool.holds(publication)
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
        payload.tensors = try tensors("masked", masks.mask(chosen, records), chosen)
        return try add(payload.encoded, kind: .publish, isRelease: true, poolKey, now, lifetime, costCeiling)
    }

    /// Makes a job of a request that starts from noise: nothing of any image leaves.
    ///
    /// - Parameter text: embeddings of prompts, as safetensors; empty: none.
    package func denoise(
        _ request: WireDenoiseRequest, text: Data = Data(), to poolKey: PoolKey, now: UnixTime,
        lifetime: UnixTime = Release.defaultLifetime,
        costCeiling: UInt64 = 0
    ) throws(ClientError) -> JobID {
        var payload = WirePayload()
        payload.denoiseRequest = request
        payload.tensors = text
        return try add(payload.encoded, kind: .denoise, isRelease: false, poolKey, now, lifetime, costCeiling)
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
            masks.names(images, cut: start, mask: mask), on: run.descriptor.schedule)
        var payload = WirePayload()
        payload.denoiseRequest = request
        payload.tensors = try tensors("x", masks.mask(images, records), images)
        return try add(payload.encoded, kind: .denoise, isRelease: true, poolKey, now, lifetime, costCeiling)
    }

    // MARK: checks

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

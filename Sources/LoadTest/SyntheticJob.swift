internal import Chain
internal import Exchange
internal import Foundation
internal import Safetensors
internal import Sealing
internal import Sodium
internal import Topology
internal import Trust
internal import Wire
internal import Workbench

/// One job of a synthetic client, sealed, and what must come back.
struct SyntheticJob {
    enum Expectation {
        /// The ids that were published; what they stand for is the maker's noise.
        case receipt([Data])
        case samples(WireDenoiseRequest)
    }

    /// Places in the driver's clients and the plan's tenants.
    var client: Int
    let tenant: Int
    /// When it was due, in nanoseconds of uptime.
    var due: Int64
    let envelope: Envelope
    let ephemeral: X25519KeyPair
    let poolKey: [UInt8]
    /// Let go once it is sent; the client's machine has it then.
    var sealed: [UInt8]
    let expectation: Expectation
    var accepted: Int64?
    var hasTimedOut = false
    /// A result came and waits to be opened.
    var hasResult = false
    /// Bytes that are kept for it: of the job once it is sent, and of its result.
    var kept = 0
}

/// Makes jobs and judges what comes back. What it publishes is noise, of nobody's image.
struct JobMaker {
    private let run: CertifiedRun
    private let lifetime: UnixTime
    private var deployment: Deployment
    private var random: SplitMix64
    private let secure: SecureRandom
    /// What the ids of all jobs begin with that are made here.
    private let mark: [UInt8]
    /// From T to the cut.
    private let timesteps: [UInt32]
    private let cut: UInt32
    /// For every number of images: the tensors of a publication, and where the values begin in it.
    private var noise: [Int: Data] = [:]

    /// - Parameter lifetime: of a job, in milliseconds.
    init(_ keys: LoadKeys, lifetime: UnixTime, seed: UInt64) throws {
        run = keys.run
        deployment = keys.deployment
        self.lifetime = lifetime
        random = SplitMix64(seed: seed)
        secure = try SecureRandom()
        mark = secure.bytes(6)
        let top = run.descriptor.schedule.timesteps
        let lowest = run.descriptor.allowedCuts.first ?? max(1, top / 2)
        cut = UInt32(lowest)
        timesteps = try TimestepList(from: top, to: lowest, steps: min(10, top - lowest)).timesteps.map(UInt32.init)
    }

    /// Whether a job is of this test, whatever became of it.
    func made(_ id: JobID) -> Bool { id.bytes.starts(with: mark) }

    mutating func accept(poolKeyBundle bytes: [UInt8]) {
        // A bundle that does not verify changes nothing.
        try? deployment.accept(poolKeyBundle: bytes, now: Self.now)
    }

    mutating func make(
        _ tenant: LoadPlan.Tenant, at place: Int, client: Int, by sealer: JobSealer, due: Int64
    ) throws -> SyntheticJob {
        let isPublish = tenant.publish > 0 && Double.random(in: 0..<1, using: &random) < tenant.publish
        let images = tenant.images.randomElement(using: &random) ?? 1
        var payload = WirePayload()
        let expectation: SyntheticJob.Expectation
        if isPublish {
            let ids = (0..<images).map { _ in Data(secure.bytes(16)) }
            payload.publishRequest.cut = cut
            payload.publishRequest.policy = .once
            payload.publishRequest.publicationID = ids
            payload.publishRequest.label = ids.map { _ in label() }
            payload.tensors = try masked(images)
            expectation = .receipt(ids)
        } else {
            var request = WireDenoiseRequest()
            request.seed = random.next()
            request.label = (0..<images).map { _ in label() }
            request.cut = cut
            request.sampler = .ddim
            request.timestep = timesteps
            request.guidance = 1
            request.clip = 1
            payload.denoiseRequest = request
            expectation = .samples(request)
        }
        let now = Self.now
        let key = try deployment.sealingKey(for: isPublish ? .train : .denoise, at: now)
        let ephemeral = try X25519KeyPair.generate()
        guard let job = JobID(mark + secure.bytes(10)) else { throw LoadTestError(.badPlan, "a job's id has 16 bytes") }
        let envelope = Envelope(
            client: sealer.client, job: job, kind: isPublish ? .publish : .denoise, run: run.id, created: now,
            expires: now + lifetime, poolKey: key.id, clientEphemeralKey: ephemeral.publicKey)
        let sealed = try sealer.seal(payload.encoded, in: envelope, ephemeral: ephemeral, poolKey: key.key)
        return SyntheticJob(
            client: client, tenant: place, due: due, envelope: envelope, ephemeral: ephemeral, poolKey: key.key,
            sealed: sealed, expectation: expectation)
    }

    /// Opens a result and holds it against what must come.
    ///
    /// - Parameter isStub: whether samples must be a stub's; other workers' samples need only be of the right shape and finite.
    /// - Returns: what a stub says of its time.
    /// - Throws: what is wrong with it.
    func judge(
        _ sealed: [UInt8], header: ResultHeader, of job: SyntheticJob, isStub: Bool
    ) throws -> StubAnswer.Times? {
        let answer = try ResultOpener(deployment: deployment).open(
            sealed, header: header, envelope: job.envelope, ephemeral: job.ephemeral, poolKey: job.poolKey,
            now: Self.now)
        if case .jobFailure(let failure) = answer.head {
            throw LoadTestError(.badPlan, "the worker refuses the job: \(failure.message)")
        }
        switch job.expectation {
        case .receipt(let ids):
            let values = try SafetensorsArchive(decoding: masked(ids.count)).entry("masked").bytes
            let each = values.count / ids.count
            let hashes = ids.enumerated().map { index, id in
                let start = values.startIndex + index * each
                return Data(BLAKE2b.hash(Array(id), Array(values[start..<start + each])))
            }
            guard answer.publishReceipt.publicationID == ids, answer.publishReceipt.storedHash == hashes else {
                throw LoadTestError(.badPlan, "the receipt is for other images than were sent")
            }
        case .samples(let request):
            let image = run.descriptor.image
            let samples = try SafetensorsArchive(decoding: answer.tensors).floats(
                "x", shape: [request.label.count, image.channels, image.height, image.width])
            let isRight =
                isStub
                ? samples == StubAnswer.samples(request, start: Data(), values: image.values)
                : samples.allSatisfy(\.isFinite)
            guard isRight else { throw LoadTestError(.badPlan, "the samples are not those that were asked for") }
        }
        return StubAnswer.times(answer)
    }

    private mutating func label() -> UInt32 { UInt32.random(in: 0...UInt32(run.descriptor.nullLabel), using: &random) }

    /// The same noise for the same number of images: what makes a publication new is its id.
    private func masked(_ images: Int) throws -> Data {
        if let known = noise[images] { return known }
        let shape = run.descriptor.image
        var stream = SplitMix64(seed: UInt64(images))
        let values = (0..<images * shape.values).map { _ in Float(stream.next() >> 40) * 0x1p-22 - 2 }
        var archive = SafetensorsArchive()
        try archive.append(
            .init(name: "masked", shape: [images, shape.channels, shape.height, shape.width], floats: values))
        return archive.encoded()
    }

    /// Makes the noise of all jobs to come, so that none is kept waiting by it.
    mutating func prepare(_ tenants: [LoadPlan.Tenant]) throws {
        for images in Set(tenants.flatMap(\.images)) where noise[images] == nil { noise[images] = try masked(images) }
    }

    private static var now: UnixTime { UnixTime(Date().timeIntervalSince1970 * 1000) }
}

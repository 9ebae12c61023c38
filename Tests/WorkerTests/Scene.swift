import Chain
import Diffusion
import Foundation
import Safetensors
import Sodium
import Testing
import Torch
import Trust
import Wire

@testable import Exchange
@testable import Sealing
@testable import Workbench
@testable import Worker

/// An operator, two clients, a worker, pool keys, a run of tiny images, and folders that go with it: all that a worker needs but
/// the network.
final class Scene {
    let folder: URL
    let client: NodeKit
    let other: NodeKit
    let worker: NodeKit
    let deployment: Deployment
    let secrets: PoolSecrets
    let run: RunDescriptor
    let runID: RunID

    /// - Parameters:
    ///   - rows: class embeddings of the backbone; 3 are two labels and "none", 0 no labels at all.
    ///   - run: nil: a tiny one.
    init(
        cuts: [Int] = [], rows: Int = 3, selfConditioned: Bool = false, run: RunDescriptor? = nil
    ) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-worker-\(UUID())")
        let now = UnixTime.now
        let op = try Operator.create(in: folder.appending(path: "operator"), now: now)
        client = try op.addNode(.client, name: NodeName("a"), now: now).kit
        other = try op.addNode(.client, name: NodeName("b"), now: now).kit
        worker = try op.addNode(.worker, name: NodeName("w"), now: now).kit
        let bundle = try op.makePoolKeys(now: now)
        deployment = try Deployment(opening: op.deploymentFolder, pinned: client.root, now: now)
        secrets = try Deployment.poolSecrets(in: op.deploymentFolder, for: worker, bundle: bundle, now: now)
        self.run = try run ?? Scene.run(cuts: cuts, rows: rows, selfConditioned: selfConditioned)
        runID = RunID(of: RunDocument(self.run).bytes)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// T = 100, images of 1×4×4, two labels.
    static func run(cuts: [Int] = [], rows: Int = 3, selfConditioned: Bool = false) throws -> RunDescriptor {
        try RunDescriptor(
            name: "tiny", schedule: Schedule(.cosine(), timesteps: 100),
            image: RunDescriptor.ImageShape(channels: 1, height: 4, width: 4),
            labels: rows == 0 ? [] : ["left", "right"],
            backboneConfig: configuration(rows: rows, selfConditioned: selfConditioned).json, allowedCuts: cuts,
            nonce: Array(0..<16), created: 1)
    }

    static func configuration(rows: Int = 3, selfConditioned: Bool = false) -> UNetConfiguration {
        var configuration = UNetConfiguration()
        configuration.sampleSize = [4, 4]
        configuration.blockOutChannels = [8, 16]
        configuration.downBlocks = [.plain, .plain]
        configuration.upBlocks = [.plain, .plain]
        configuration.layersPerBlock = 1
        configuration.normGroups = 4
        configuration.inChannels = selfConditioned ? 2 : 1
        configuration.isSelfConditioned = selfConditioned
        configuration.outChannels = 1
        configuration.classEmbeddings = rows == 0 ? nil : rows
        return configuration
    }

    static func denoiser(seed: UInt64, run: RunDescriptor) throws -> Denoiser<UNet> {
        var source = ParameterSource(seed: seed)
        return try Denoiser(
            UNet(UNetConfiguration(json: run.backboneConfig), &source), on: run.schedule, labels: run.labels.count)
    }

    func desk() throws -> JobDesk {
        JobDesk(
            opener: JobOpener(roster: deployment.roster, secrets: secrets),
            sealer: ResultSealer(signing: try #require(worker.signing)),
            checkpoints: CheckpointSealer(
                signing: try #require(worker.signing), secrets: secrets, deployment: deployment),
            secrets: secrets, run: runID)
    }

    func registry() throws -> ModelRegistry {
        try ModelRegistry(directory: folder.appending(path: "registry"), run: runID)
    }

    // MARK: jobs

    /// - Parameters:
    ///   - run: other than the scene's, to be refused.
    ///   - kit: whose name the envelope bears.
    ///   - signer: who really signs.
    func send(
        _ payload: WirePayload, run: RunID? = nil, from kit: NodeKit? = nil, signedBy signer: NodeKit? = nil,
        expires: UnixTime = .now + 600_000, ceiling: UInt64 = 0
    ) throws -> SentJob {
        let kind: WireJobKind = if case .publishRequest = payload.head { .publish } else { .denoise }
        let role = try #require(PoolRole(serving: kind))
        return try send(
            payload, kind, to: deployment.sealingKey(for: role, at: .now), run, kit ?? client, signer ?? kit ?? client,
            expires, ceiling)
    }

    /// A job for a pool key that nobody holds.
    func sendToStrangers(_ payload: WirePayload) throws -> SentJob {
        let key = try PoolKey(
            role: .denoise, epoch: 9, key: X25519KeyPair.generate().publicKey, notBefore: 0,
            sealUntil: UnixTime.day / 2,
            openUntil: UnixTime.day)
        return try send(payload, .denoise, to: key, nil, client, client, .now + 600_000, 0)
    }

    private func send(
        _ payload: WirePayload, _ kind: WireJobKind, to key: PoolKey, _ run: RunID?, _ kit: NodeKit, _ signer: NodeKit,
        _ expires: UnixTime, _ ceiling: UInt64
    ) throws -> SentJob {
        var random = try SecureRandom()
        let ephemeral = try X25519KeyPair.generate()
        let envelope = Envelope(
            client: ClientID(of: try #require(kit.signing).publicKey), job: .random(using: &random), kind: kind,
            run: run ?? runID, costCeiling: ceiling,
            created: .now, expires: expires, poolKey: key.id, clientEphemeralKey: ephemeral.publicKey)
        // As `JobSealer` does it, which does not let one client speak for another.
        let body = payload.encoded
        let signature = try #require(signer.signing).sign(Signatures.job(envelope, body: body))
        let keys = try JobKeys.client(envelope, ephemeral: ephemeral, poolKey: key.key)
        let sealed = try keys.job.seal(SignedBody.encode(body, signature: signature), associatedData: envelope.bytes)
        return SentJob(
            envelope: envelope, sealed: sealed, ephemeral: ephemeral, poolKey: key.key,
            fence: Fence(broker: .random(using: &random), bootEpoch: 1, attempt: 1))
    }

    /// What the client reads in the answer among these commands.
    func answer(to job: SentJob, in commands: [WorkerCore.Command]) throws -> WirePayload {
        let result = commands.compactMap { command -> ([UInt8], [UInt8])? in
            guard case .result(job.envelope.key, job.fence, _, let header, let sealed) = command else { return nil }
            return (header, sealed)
        }
        try #require(result.count == 1, "\(result.count) answers")
        let header = try ResultHeader(bytes: result[0].0)
        let payload = try ResultOpener(deployment: deployment).open(
            result[0].1, header: header, envelope: job.envelope, ephemeral: job.ephemeral, poolKey: job.poolKey,
            now: .now)
        if case .jobFailure = payload.head {
            #expect(header.status == .failed)
        } else {
            #expect(header.status == .done)
        }
        return payload
    }

    /// x at the cut, one row for each sample.
    func samples(of job: SentJob, in commands: [WorkerCore.Command]) throws -> [Float] {
        let payload = try answer(to: job, in: commands)
        guard case .denoiseResult = payload.head else { throw Unexpected(payload.jobFailure.message) }
        return try SafetensorsArchive(decoding: payload.tensors).floats(
            "x", shape: [nil, run.image.channels, run.image.height, run.image.width])
    }
}

/// A test's own complaint.
struct Unexpected: Error {
    let what: String

    init(_ what: String) { self.what = what }
}

struct SentJob: Sendable {
    let envelope: Envelope
    var sealed: [UInt8]
    let ephemeral: X25519KeyPair
    let poolKey: [UInt8]
    let fence: Fence
    var checkpoint: WorkerCore.Checkpoint?

    func assignment(alone: Bool = false) -> WorkerCore.Assignment {
        WorkerCore.Assignment(
            key: envelope.key, fence: fence, envelope: envelope, sealed: sealed, checkpoint: checkpoint, alone: alone,
            lease: 30_000_000_000)
    }
}

extension WorkerCore.Command {
    /// Results and NACKs: what ends a job.
    var isAnswer: Bool {
        switch self {
        case .result, .nack: true
        default: false
        }
    }

    var iterations: UInt64? { if case .iterations(let count) = self { count } else { nil } }
    var model: WireModelVersion? { if case .model(let model) = self { model } else { nil } }
}

extension Engine {
    /// Runs the engine on this thread until it has given so many answers, or the time is over.
    ///
    /// - Parameter hear: told every command as it is sent, on the engine's thread; what it puts into `orders` comes before the next pass.
    /// - Returns: all commands.
    func work(answers: Int, _ hear: @escaping @Sendable (WorkerCore.Command) -> Void = { _ in }) throws -> [WorkerCore
        .Command]
    {
        let heard = WorkQueue<WorkerCore.Command>(), left = WorkQueue<Void>()
        for _ in 0..<answers { left.put(()) }
        let watchdog = DispatchWorkItem { [orders] in orders.put(.stop) }
        DispatchQueue.global().asyncAfter(deadline: .now() + 30, execute: watchdog)
        defer { watchdog.cancel() }
        try run { [orders] command in
            heard.put(command)
            hear(command)
            guard command.isAnswer else { return }
            let rest = left.takeAll().dropFirst()
            for _ in rest { left.put(()) }
            if rest.isEmpty { orders.put(.stop) }
        }
        return heard.takeAll()
    }
}

// MARK: payloads

extension WirePayload {
    /// Images of `value` + their index / 100.
    static func publication(
        _ ids: [UInt8], cut: UInt32 = 50, labels: [UInt32]? = nil, policy: WireReleasePolicy = .once, value: Float = 0,
        shape: [Int]? = nil
    ) throws -> WirePayload {
        var payload = WirePayload()
        payload.publishRequest.cut = cut
        payload.publishRequest.policy = policy
        payload.publishRequest.publicationID = ids.map { Data(repeating: $0, count: 16) }
        payload.publishRequest.label = labels ?? ids.map { UInt32($0 % 2) }
        let shape = shape ?? [ids.count, 1, 4, 4], size = shape.dropFirst().reduce(1, *)
        let values = (0..<shape.reduce(1, *)).map { value + Float($0 / max(1, size)) / 100 }
        payload.tensors = try tensors("masked", shape, values)
        return payload
    }

    static func denoise(
        _ labels: [UInt32] = [0], from start: Int = 100, to cut: Int = 50, steps: Int = 3, seed: UInt64 = 1,
        first: UInt32 = 0,
        sampler: WireSamplerKind = .ddim, eta: Double = 0, guidance: Double = 1, clip: Double = 1
    ) throws -> WirePayload {
        var payload = WirePayload()
        payload.denoiseRequest.seed = seed
        payload.denoiseRequest.firstSample = first
        payload.denoiseRequest.label = labels
        payload.denoiseRequest.cut = UInt32(cut)
        payload.denoiseRequest.sampler = sampler
        payload.denoiseRequest.eta = eta
        payload.denoiseRequest.guidance = guidance
        payload.denoiseRequest.clip = clip
        payload.denoiseRequest.timestep = try TimestepList(from: start, to: cut, steps: steps).timesteps.map(
            UInt32.init)
        return payload
    }

    static func tensors(_ name: String, _ shape: [Int], _ values: [Float]) throws -> Data {
        var archive = SafetensorsArchive()
        try archive.append(.init(name: name, shape: shape, floats: values))
        return archive.encoded()
    }
}

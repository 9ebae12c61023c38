import Foundation
import Sealing
import Sodium
import Testing
import Trust
import Wire

/// An operator, two clients, two workers, pool keys: everything that sealing asks trust for.
final class Scene {
    static let now: UnixTime = 1_800_000_000_000

    let folder: URL
    let op: Operator
    let client: NodeKit
    let other: NodeKit
    let worker: NodeKit
    let trainer: NodeKit
    let deployment: Deployment
    let secrets: PoolSecrets

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-sealing-\(UUID())")
        op = try Operator.create(in: folder, now: Scene.now)
        client = try op.addNode(.client, name: NodeName("a"), now: Scene.now).kit
        other = try op.addNode(.client, name: NodeName("b"), now: Scene.now).kit
        worker = try op.addNode(.worker, name: NodeName("w"), now: Scene.now).kit
        trainer = try op.addNode(.worker, name: NodeName("t"), grant: .init(roles: [.train]), now: Scene.now).kit
        let bundle = try op.makePoolKeys(now: Scene.now)
        deployment = try Deployment(opening: op.deploymentFolder, pinned: client.root, now: Scene.now)
        secrets = try Deployment.poolSecrets(in: op.deploymentFolder, for: worker, bundle: bundle, now: Scene.now)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func opener() -> JobOpener { JobOpener(roster: deployment.roster, secrets: secrets) }

    func signing(_ kit: NodeKit) throws -> Ed25519KeyPair { try #require(kit.signing) }

    /// A denoise request of `count` labels.
    func body(_ count: Int = 3) -> WirePayload {
        var payload = WirePayload()
        payload.denoiseRequest.seed = 7
        payload.denoiseRequest.label = (0..<count).map(UInt32.init)
        payload.tensors = Data(repeating: 5, count: count)
        return payload
    }

    func envelope(
        _ ephemeral: X25519KeyPair, kind: WireJobKind = .denoise, key: PoolKey, client kit: NodeKit? = nil,
        expires: UnixTime = Scene.now + 1000
    ) throws -> Envelope {
        var random = try SecureRandom()
        return Envelope(
            client: ClientID(of: try signing(kit ?? client).publicKey), job: .random(using: &random), kind: kind,
            run: .random(using: &random), created: Scene.now, expires: expires, poolKey: key.id,
            clientEphemeralKey: ephemeral.publicKey)
    }

    /// A job from client a to the pool of `role`, with everything that made it.
    func job(_ role: PoolRole = .denoise) throws -> Job {
        let ephemeral = try X25519KeyPair.generate()
        let key = try deployment.sealingKey(for: role, at: Scene.now)
        let envelope = try envelope(ephemeral, kind: role == .train ? .publish : .denoise, key: key)
        let sealed = try JobSealer(signing: signing(client)).seal(
            body().encoded, in: envelope, ephemeral: ephemeral, poolKey: key.key)
        return Job(envelope: envelope, sealed: sealed, ephemeral: ephemeral, key: key)
    }

    func fence(attempt: UInt32 = 1) throws -> Fence {
        var random = try SecureRandom()
        return Fence(broker: .random(using: &random), bootEpoch: 4, attempt: attempt)
    }

    func open(_ result: (header: ResultHeader, sealed: [UInt8]), of job: Job) throws -> WirePayload {
        try ResultOpener(deployment: deployment).open(
            result.sealed, header: result.header, envelope: job.envelope, ephemeral: job.ephemeral,
            poolKey: job.key.key,
            now: Scene.now)
    }
}

struct Job {
    let envelope: Envelope
    let sealed: [UInt8]
    let ephemeral: X25519KeyPair
    let key: PoolKey
}

/// The code of the `SealingError` that `body` throws; nil when it throws none.
func code(_ body: () throws -> Void) -> SealingError.Code? {
    do { try body() } catch { return (error as? SealingError)?.code }
    return nil
}

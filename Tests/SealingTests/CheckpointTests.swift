import Foundation
import Sealing
import Sodium
import Testing
import Trust
import Wire

struct CheckpointTests {
    private let scene: Scene
    private let job: Job

    init() throws {
        scene = try Scene()
        job = try scene.job()
    }

    private func sealer(_ kit: NodeKit? = nil, _ secrets: PoolSecrets? = nil) throws -> CheckpointSealer {
        try CheckpointSealer(
            signing: scene.signing(kit ?? scene.worker), secrets: secrets ?? scene.secrets, deployment: scene.deployment
        )
    }

    private func header(_ sealer: CheckpointSealer, step: UInt32 = 40) throws -> CheckpointHeader {
        CheckpointHeader(fence: try scene.fence(), step: step, modelVersion: 7, worker: sealer.worker)
    }

    @Test("another worker of the pool opens it; sealing again gives the same bytes")
    func roundTrip() throws {
        let other = try scene.op.addNode(.worker, name: NodeName("w2"), now: Scene.now).kit
        let deployment = try Deployment(opening: scene.op.deploymentFolder, pinned: scene.client.root, now: Scene.now)
        let author = try sealer()
        let reader = try CheckpointSealer(
            signing: scene.signing(other), secrets: scene.secrets, deployment: deployment)
        let header = try header(author)
        let sealed = try author.seal(scene.body(9), of: job.envelope, header, now: Scene.now)
        #expect(try reader.open(sealed, of: job.envelope, header, now: Scene.now) == scene.body(9))
        #expect(try author.seal(scene.body(9), of: job.envelope, header, now: Scene.now) == sealed)
        #expect(try CheckpointHeader(header.message) == header)
        // Below 1 KiB all look alike: 24 + 1,024 + 16.
        #expect(sealed.count == 1064)
    }

    @Test("fence, step, version, author, envelope, nonce and ciphertext are all bound")
    func tampering() throws {
        let sealer = try sealer()
        let header = try header(sealer)
        let sealed = try sealer.seal(scene.body(), of: job.envelope, header, now: Scene.now)
        func failure(
            _ sealed: [UInt8], _ header: CheckpointHeader, _ envelope: Envelope? = nil
        ) -> SealingError.Code? {
            code { _ = try sealer.open(sealed, of: envelope ?? job.envelope, header, now: Scene.now) }
        }
        #expect(failure(sealed, header) == nil)
        let fence = header.fence
        var random = try SecureRandom()
        let fences = [
            Fence(broker: .random(using: &random), bootEpoch: fence.bootEpoch, attempt: fence.attempt),
            Fence(broker: fence.broker, bootEpoch: fence.bootEpoch + 1, attempt: fence.attempt),
            Fence(broker: fence.broker, bootEpoch: fence.bootEpoch, attempt: fence.attempt + 1),
        ]
        for other in fences {
            let changed = CheckpointHeader(fence: other, step: 40, modelVersion: 7, worker: header.worker)
            #expect(failure(sealed, changed) == .notAuthentic)
        }
        let step = CheckpointHeader(fence: fence, step: 41, modelVersion: 7, worker: header.worker)
        let version = CheckpointHeader(fence: fence, step: 40, modelVersion: 8, worker: header.worker)
        let trainer = WorkerID(of: try scene.signing(scene.trainer).publicKey)
        let author = CheckpointHeader(fence: fence, step: 40, modelVersion: 7, worker: trainer)
        #expect(failure(sealed, step) == .notAuthentic && failure(sealed, version) == .notAuthentic)
        #expect(failure(sealed, author) == .untrusted, "a trainer is no denoiser")
        #expect(failure(sealed, header, try scene.job().envelope) == .notAuthentic)
        for index in [0, 23, 24, sealed.count / 2, sealed.count - 1] {
            var changed = sealed
            changed[index] ^= 1
            #expect(failure(changed, header) == .notAuthentic)
            #expect(failure(Array(sealed[..<index]), header) != nil)
        }
    }

    @Test("who stole the pool key can open it and not forge it")
    func stolenKey() throws {
        let thief = try sealer(scene.trainer)
        // It names the worker and cannot sign for it.
        let author = try sealer()
        let header = try header(author)
        #expect(code { _ = try thief.seal(scene.body(), of: job.envelope, header, now: Scene.now) } == .mismatched)
        let own = CheckpointHeader(fence: header.fence, step: 40, modelVersion: 7, worker: thief.worker)
        let forged = try thief.seal(scene.body(), of: job.envelope, own, now: Scene.now)
        #expect(code { _ = try author.open(forged, of: job.envelope, own, now: Scene.now) } == .untrusted)
        #expect(code { _ = try author.open(forged, of: job.envelope, header, now: Scene.now) } == .notAuthentic)
    }

    @Test("without the pool secret, or after its end, nothing is sealed or opened")
    func keys() throws {
        let sealer = try sealer(), stranger = try self.sealer(nil, PoolSecrets())
        let header = try header(sealer)
        let sealed = try sealer.seal(scene.body(), of: job.envelope, header, now: Scene.now)
        #expect(code { _ = try stranger.open(sealed, of: job.envelope, header, now: Scene.now) } == .untrusted)
        #expect(code { _ = try stranger.seal(scene.body(), of: job.envelope, header, now: Scene.now) } == .untrusted)
        let later = job.key.openUntil + 1
        #expect(code { _ = try sealer.seal(scene.body(), of: job.envelope, header, now: later) } == .expired)
    }
}

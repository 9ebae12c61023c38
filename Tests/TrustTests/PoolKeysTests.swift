import Foundation
import Sodium
import Testing
import Trust
import Wire

struct PoolKeysTests {
    @Test("a worker unwraps the secrets of its roles, and no other worker's")
    func wrapping() throws {
        let scene = try Scene()
        let other = try scene.op.addNode(
            .worker, name: NodeName("trainer"), grant: .init(roles: [.train]), now: Scene.now
        ).kit
        let folder = scene.op.deploymentFolder
        #expect(
            code { _ = try Deployment.poolSecrets(in: folder, for: other, bundle: scene.bundle(), now: Scene.now) }
                == .fileMissing)
        try scene.op.makePoolKeys(now: Scene.now)
        let bundle = try scene.bundle()
        #expect(bundle.epoch == 2)
        #expect(bundle.keys.count == 4)
        let mine = try Deployment.poolSecrets(in: folder, for: scene.worker, bundle: bundle, now: Scene.now)
        #expect(mine.keyIDs.count == 4)
        let trainer = try Deployment.poolSecrets(in: folder, for: other, bundle: bundle, now: Scene.now)
        #expect(trainer.keyIDs == [try bundle.sealingKey(for: .train, at: Scene.now).id])
        // The other worker's file under this worker's name.
        let id = WorkerID(of: try #require(scene.worker.signing).publicKey)
        let otherID = WorkerID(of: try #require(other.signing).publicKey)
        let stolen = Array(try Data(contentsOf: folder.appending(path: "wrapped/\(otherID).pool")))
        let wrapping = try #require(scene.worker.wrapping)
        #expect(
            code { _ = try PoolSecrets(wrapped: stolen, to: wrapping, bundle: bundle, now: Scene.now) } == .untrusted)
        #expect(id != otherID)
        #expect(
            code { _ = try Deployment.poolSecrets(in: folder, for: scene.client, bundle: bundle, now: Scene.now) }
                == .notPermitted)
    }

    @Test("keys are sealed to for less long than they are opened, and end")
    func times() throws {
        let scene = try Scene()
        let bundle = try scene.bundle()
        let key = try bundle.sealingKey(for: .denoise, at: Scene.now)
        #expect(key.sealUntil == Scene.now + 20 * 3_600_000)
        #expect(code { _ = try bundle.sealingKey(for: .denoise, at: key.sealUntil) } == .expired)
        var secrets = try Deployment.poolSecrets(
            in: scene.op.deploymentFolder, for: scene.worker, bundle: bundle, now: Scene.now)
        #expect(try secrets.pair(for: key.id, at: key.openUntil - 1).pair.publicKey == key.key)
        #expect(code { _ = try secrets.pair(for: key.id, at: key.openUntil) } == .expired)
        secrets.discardExpired(at: key.openUntil)
        #expect(secrets.keyIDs.isEmpty)
        #expect(code { _ = try secrets.pair(for: key.id, at: Scene.now) } == .unknown)
        #expect(code { try scene.op.makePoolKeys(now: Scene.now, lifetime: 2 * .day) } == .malformed)
    }

    @Test("a new epoch replaces the old one for sealing, and an older bundle is refused")
    func epochs() throws {
        let scene = try Scene()
        var deployment = try scene.deployment()
        let first = deployment.poolKeyBundle
        let later = Scene.now + 10 * 3_600_000
        try scene.op.makePoolKeys(now: later)
        let second = try scene.deployment(at: later).poolKeyBundle
        try deployment.accept(poolKeyBundle: second, now: later)
        #expect(try deployment.sealingKey(for: .train, at: later).epoch == 2)
        #expect(code { try deployment.accept(poolKeyBundle: first, now: later) } == .olderEpoch)
        #expect(deployment.poolKeys?.epoch == 2)
        // Past the first epoch's end it leaves the bundle.
        try scene.op.makePoolKeys(now: Scene.now + 25 * 3_600_000)
        #expect(try scene.deployment(at: later).poolKeys?.keys.map(\.epoch) == [2, 2, 3, 3])
    }

    @Test("a secret that does not make the signed key is refused")
    func wrongSecret() throws {
        let scene = try Scene()
        let key = try scene.bundle().sealingKey(for: .train, at: Scene.now)
        var secrets = PoolSecrets()
        #expect(code { try secrets.add(X25519KeyPair.generate(), for: key) } == .untrusted)
    }
}

extension Scene {
    func bundle() throws -> PoolKeys { try #require(try deployment().poolKeys) }
}

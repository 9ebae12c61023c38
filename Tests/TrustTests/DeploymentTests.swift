import Chain
import Foundation
import Sodium
import Testing
import Trust
import Wire

struct DeploymentTests {
    @Test("what the operator wrote is what a node reads")
    func roundTrip() throws {
        let scene = try Scene()
        let deployment = try scene.deployment()
        #expect(deployment.root == scene.op.root)
        #expect(deployment.roster.epoch == 2)
        let signing = try #require(scene.client.signing)
        let client = try deployment.roster.client(ClientID(of: signing.publicKey), for: .train)
        #expect(client.name.description == "hospital-a")
        #expect(client.curveKey == scene.client.curve.publicKey)
        let workerKey = try #require(scene.worker.signing?.publicKey)
        let worker = try deployment.worker(WorkerID(of: workerKey), for: .denoise, at: Scene.now)
        #expect(worker.signingKey == workerKey)
        #expect(try deployment.broker(NodeName("broker-1"), at: Scene.now).curveKey == scene.broker.curve.publicKey)
        let run = try deployment.run()
        #expect(try run.descriptor == Scene.descriptor())
        #expect(try run.id.bytes == BLAKE2b.hash(RunDocument(Scene.descriptor()).bytes))
        #expect(try deployment.run(run.id.short).id == run.id)
        #expect(code { _ = try deployment.run("zz") } == .unknown)
        #expect(code { _ = try deployment.broker(NodeName("other"), at: Scene.now) } == .unknown)
    }

    @Test("a byte flipped anywhere in a signed file is refused", arguments: ["roster.signed", "pool.signed"])
    func flippedByte(name: String) throws {
        let scene = try Scene()
        let file = scene.op.deploymentFolder.appending(path: name)
        let good = try Data(contentsOf: file)
        for index in good.indices {
            var changed = good
            changed[index] ^= 1
            try changed.write(to: file)
            #expect(throws: TrustError.self, "byte \(index)") { try scene.deployment() }
        }
        try good.write(to: file)
        _ = try scene.deployment()
        try good.dropLast().write(to: file)
        #expect(message { _ = try scene.deployment() }.contains(file.path))
    }

    @Test("another operator's folder is refused by a node that pinned its own")
    func otherRoot() throws {
        let scene = try Scene()
        let other = try Scene()
        #expect(
            code { _ = try Deployment(opening: other.op.deploymentFolder, pinned: scene.client.root, now: Scene.now) }
                == .untrusted)
        // The foreign statements under the right root.pub.
        let root = try Data(contentsOf: scene.op.deploymentFolder.appending(path: "root.pub"))
        try root.write(to: other.op.deploymentFolder.appending(path: "root.pub"))
        #expect(
            code { _ = try Deployment(opening: other.op.deploymentFolder, pinned: scene.client.root, now: Scene.now) }
                == .untrusted)
    }

    @Test("a statement of one kind does not pass for another")
    func kinds() throws {
        let scene = try Scene()
        let bytes = Array(try Data(contentsOf: scene.op.deploymentFolder.appending(path: "brokers/broker-1.signed")))
        _ = try BrokerCertificate(verifying: bytes, root: scene.op.root, now: Scene.now)
        #expect(code { _ = try WorkerCertificate(verifying: bytes, root: scene.op.root, now: Scene.now) } == .untrusted)
        #expect(code { _ = try Roster(verifying: bytes, root: scene.op.root, now: Scene.now) } == .untrusted)
    }

    @Test("the signer's own key signs no signer, and a stranger's signer signs nothing")
    func signers() throws {
        let root = try Ed25519KeyPair.generate()
        let signer = try Ed25519KeyPair.generate()
        let validity = Validity(notBefore: Scene.now, notAfter: Scene.now + .day)
        let certificate = try SignedStatement.certify(
            signer: Signer(name: "s", key: signer.publicKey, validity: validity), by: root)
        let second = try Ed25519KeyPair.generate()
        let forged = try SignedStatement.certify(
            signer: Signer(name: "s", key: second.publicKey, validity: validity), by: signer)
        let good = try SignedStatement.sign([1], as: .run, by: signer, certificate: certificate)
        let bad = try SignedStatement.sign([1], as: .run, by: second, certificate: forged)
        let mixed = try SignedStatement.sign([1], as: .run, by: second, certificate: certificate)
        func verify(_ bytes: [UInt8], _ now: UnixTime = Scene.now) throws -> [UInt8] {
            try SignedStatement.verify(bytes, as: .run, root: root.publicKey, now: now)
        }
        #expect(try verify(good) == [1])
        #expect(code { _ = try verify(bad) } == .untrusted)
        #expect(code { _ = try verify(mixed) } == .untrusted)
        #expect(code { _ = try verify(good, Scene.now + .day) } == .expired)
        #expect(code { _ = try verify(good, Scene.now - .day) } == .notYetValid)
    }

    @Test("certificates end with their validity, and say when")
    func expiry() throws {
        let scene = try Scene()
        try scene.op.addNode(
            .worker, name: NodeName("brief"), grant: .init(roles: [.train], lifetime: 1000), now: Scene.now)
        let deployment = try scene.deployment()
        let brief = try #require(deployment.workers.values.first { $0.name.description == "brief" })
        _ = try deployment.worker(brief.id, for: .train, at: Scene.now)
        #expect(code { _ = try deployment.worker(brief.id, for: .denoise, at: Scene.now) } == .notPermitted)
        #expect(code { _ = try deployment.worker(brief.id, for: .train, at: Scene.now + 1000) } == .expired)
        #expect(code { _ = try scene.deployment(at: Scene.now + 31 * .day) } == .expired)
    }

    @Test("rights are checked: a client that may not publish does not")
    func rights() throws {
        let scene = try Scene()
        let kit = try scene.op.addNode(
            .client, name: NodeName("reader"), grant: .init(rights: .init(publish: false)), now: Scene.now
        ).kit
        let id = ClientID(of: try #require(kit.signing).publicKey)
        let roster = try scene.deployment().roster
        _ = try roster.client(id, for: .denoise)
        #expect(code { _ = try roster.client(id, for: .train) } == .notPermitted)
        let stranger = ClientID(of: try Ed25519KeyPair.generate().publicKey)
        #expect(code { _ = try roster.client(stranger, for: .denoise) } == .unknown)
    }

    @Test("revoked clients and workers are refused")
    func revocation() throws {
        let scene = try Scene()
        var client = try #require(try scene.deployment().roster.clients.first)
        client.isRevoked = true
        let roster = try Roster(epoch: 3, issued: Scene.now, clients: [client])
        #expect(code { _ = try roster.client(client.id, for: .denoise) } == .revoked)
    }

    @Test("two clients with one key, or one name, make no roster")
    func duplicates() throws {
        let key = try Ed25519KeyPair.generate().publicKey
        let one = RosterClient(name: try NodeName("a"), curveKey: [1], signingKey: key)
        let two = RosterClient(name: try NodeName("b"), curveKey: [2], signingKey: key)
        let three = RosterClient(
            name: try NodeName("a"), curveKey: [3], signingKey: try Ed25519KeyPair.generate().publicKey)
        #expect(code { _ = try Roster(epoch: 1, issued: 0, clients: [one, two]) } == .malformed)
        #expect(code { _ = try Roster(epoch: 1, issued: 0, clients: [one, three]) } == .malformed)
    }

    @Test("the broker tells peers by their CURVE keys")
    func peers() throws {
        let scene = try Scene()
        let peers = PeerDirectory(try scene.deployment())
        guard case .client(let client) = try peers.peer(curveKey: scene.client.curve.publicKey, at: Scene.now) else {
            Issue.record("the client's key is no client's")
            return
        }
        #expect(client.name.description == "hospital-a")
        guard case .worker(let worker) = try peers.peer(curveKey: scene.worker.curve.publicKey, at: Scene.now) else {
            Issue.record("the worker's key is no worker's")
            return
        }
        #expect(worker.roles == [.denoise, .train])
        let stranger = try X25519KeyPair.generate().publicKey
        #expect(code { _ = try peers.peer(curveKey: stranger, at: Scene.now) } == .unknown)
        #expect(
            code { _ = try peers.peer(curveKey: scene.worker.curve.publicKey, at: Scene.now + 400 * .day) } == .expired)
        #expect(Set(peers.curveKeys).count == 2)
    }

    @Test("within a period nobody's certificate begins or ends")
    func periods() throws {
        let scene = try Scene()
        let peers = PeerDirectory(try scene.deployment())
        func isKnown(at now: UnixTime) -> Bool {
            (try? peers.peer(curveKey: scene.worker.curve.publicKey, at: now)) != nil
        }
        let valid = peers.period(of: Scene.now)
        #expect(isKnown(at: valid.lowerBound) && isKnown(at: valid.upperBound - 1))
        #expect(!isKnown(at: valid.lowerBound - 1) && !isKnown(at: valid.upperBound))
        #expect(peers.period(of: valid.lowerBound - 1) == .min..<valid.lowerBound)
        #expect(peers.period(of: valid.upperBound) == valid.upperBound..<(.max))
    }
}

struct SummaryTests {
    @Test("the summary names every party, and a kit that fits is found right")
    func summary() throws {
        let scene = try Scene()
        let deployment = try scene.deployment()
        let text = deployment.summary(at: Scene.now)
        for word in ["hospital-a", "worker-1", "broker-1", "digits", "epoch 1", "denoise train"] {
            #expect(text.contains(word), "\(word)")
        }
        let folder = scene.op.deploymentFolder
        for kit in [scene.client, scene.worker, scene.broker] {
            #expect(try deployment.verify(kit, folder: folder, at: Scene.now).count >= 2)
        }
        let home = scene.folder.appending(path: "stranger")
        for kind in NodeKind.allCases {
            let stranger = try NodeKit.generate(
                kind, name: NodeName("stranger"), in: home.appending(path: kind.rawValue))
            #expect(code { _ = try deployment.verify(stranger, folder: folder, at: Scene.now) } == .unknown)
        }
        // The broker's name with another key, and a worker without its wrapped secrets.
        let other = try NodeKit.generate(.broker, name: NodeName("broker-1"), in: home.appending(path: "other"))
        #expect(code { _ = try deployment.verify(other, folder: folder, at: Scene.now) } == .untrusted)
        #expect(code { _ = try deployment.verify(scene.worker, folder: home, at: Scene.now) } == .fileMissing)
        #expect(code { _ = try deployment.verify(scene.client, folder: folder, at: Scene.now + .day) } == .expired)
    }
}

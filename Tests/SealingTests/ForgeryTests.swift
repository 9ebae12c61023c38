import Sodium
import Testing
import Trust
import Wire

@testable import Sealing

/// Forgers who have every key but the one that matters, and seal without our checks.
struct ForgeryTests {
    @Test("a pool-key thief who names a certified worker is caught by the signature")
    func forgedResult() throws {
        let scene = try Scene()
        let job = try scene.job()
        let fence = try scene.fence()
        let header = ResultHeader(
            client: job.envelope.client, job: job.envelope.job, envelopeHash: Digest(of: job.envelope.bytes),
            fence: fence,
            status: .done, worker: WorkerID(of: try scene.signing(scene.worker).publicKey))
        let stolen = try scene.secrets.pair(for: job.key.id, at: Scene.now).pair
        let keys = try JobKeys.pool(job.envelope, secret: stolen)
        func forge(signed: ResultHeader, by key: Ed25519KeyPair) throws -> [UInt8] {
            let body = scene.body().encoded
            let plaintext = try SignedBody.encode(body, signature: key.sign(Signatures.result(signed, body: body)))
            return try keys.result.seal(plaintext, associatedData: Signatures.resultAssociatedData(header))
        }
        #expect(
            code { _ = try scene.open((header, forge(signed: header, by: .generate())), of: job) } == .badSignature)
        let other = try scene.signing(scene.trainer)
        #expect(code { _ = try scene.open((header, forge(signed: header, by: other)), of: job) } == .badSignature)
        // The worker's own signature, for another attempt and for another status.
        let mine = try scene.signing(scene.worker)
        let late = ResultHeader(
            client: header.client, job: header.job, envelopeHash: header.envelopeHash,
            fence: Fence(broker: fence.broker, bootEpoch: fence.bootEpoch, attempt: 2), status: .done,
            worker: header.worker)
        #expect(code { _ = try scene.open((header, forge(signed: late, by: mine)), of: job) } == .badSignature)
        let failed = ResultHeader(
            client: header.client, job: header.job, envelopeHash: header.envelopeHash, fence: fence, status: .failed,
            worker: header.worker)
        #expect(code { _ = try scene.open((header, forge(signed: failed, by: mine)), of: job) } == .badSignature)
        #expect(try scene.open((header, forge(signed: header, by: mine)), of: job) == scene.body())
    }

    @Test("another client's signature under this client's envelope is caught")
    func forgedJob() throws {
        let scene = try Scene()
        let ephemeral = try X25519KeyPair.generate()
        let key = try scene.deployment.sealingKey(for: .denoise, at: Scene.now)
        let envelope = try scene.envelope(ephemeral, key: key)
        let keys = try JobKeys.client(envelope, ephemeral: ephemeral, poolKey: key.key)
        let body = scene.body().encoded
        func forge(by kit: NodeKit) throws -> [UInt8] {
            let signature = try scene.signing(kit).sign(Signatures.job(envelope, body: body))
            return try keys.job.seal(SignedBody.encode(body, signature: signature), associatedData: envelope.bytes)
        }
        let opener = scene.opener()
        #expect(
            code { _ = try opener.open(forge(by: scene.other), envelope: envelope, now: Scene.now) }
                == .badSignature)
        #expect(try opener.open(forge(by: scene.client), envelope: envelope, now: Scene.now).payload == scene.body())
    }

    @Test("a plaintext whose length lies, or whose padding is not zero, is malformed")
    func layout() throws {
        let good = try SignedBody.encode([1, 2, 3], signature: [UInt8](repeating: 9, count: 64))
        #expect(good.count == 1024)
        #expect(Array(good[..<7]) == [3, 0, 0, 0, 1, 2, 3])
        #expect(try SignedBody.decode(good).body == [1, 2, 3])
        for (index, value) in [(0, UInt8(0xff)), (1, 0xff), (3, 0xff), (1023, 1), (71, 1)] {
            var bad = good
            bad[index] = value
            if index == 0 {
                // Still within the bucket: another body, which the signature then refuses.
                #expect(code { _ = try SignedBody.decode(bad) } == nil)
            } else {
                #expect(code { _ = try SignedBody.decode(bad) } == .malformed, "byte \(index)")
            }
        }
        #expect(code { _ = try SignedBody.decode(good + [0]) } == .malformed)
        #expect(code { _ = try SignedBody.decode([]) } == .malformed)
    }
}

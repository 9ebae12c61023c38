import Foundation
import Sealing
import Sodium
import Testing
import Trust
import Wire

struct SealingTests {
    @Test("a job and its answer come through")
    func roundTrip() throws {
        let scene = try Scene()
        let job = try scene.job()
        let opened = try scene.opener().open(job.sealed, envelope: Envelope(bytes: job.envelope.bytes), now: Scene.now)
        #expect(opened.payload == scene.body())
        #expect(opened.client.name.description == "a")
        let result = try ResultSealer(signing: scene.signing(scene.worker)).seal(
            scene.body(9), status: .done, answering: opened, fence: scene.fence())
        #expect(try scene.open(result, of: job) == scene.body(9))
    }

    @Test("any byte of envelope, nonce or ciphertext flipped, cut off or added: the worker refuses")
    func tamperedJob() throws {
        let scene = try Scene()
        let job = try scene.job()
        let opener = scene.opener()
        func opens(_ envelope: [UInt8], _ sealed: [UInt8]) -> Bool {
            guard let envelope = try? Envelope(bytes: envelope) else { return false }
            return (try? opener.open(sealed, envelope: envelope, now: Scene.now)) != nil
        }
        #expect(opens(job.envelope.bytes, job.sealed))
        for index in job.envelope.bytes.indices {
            for bit in [UInt8(1), 0x80] {
                var changed = job.envelope.bytes
                changed[index] ^= bit
                #expect(!opens(changed, job.sealed), "envelope byte \(index)")
            }
        }
        for index in job.sealed.indices {
            var changed = job.sealed
            changed[index] ^= 1
            #expect(!opens(job.envelope.bytes, changed), "sealed byte \(index)")
            #expect(!opens(job.envelope.bytes, Array(job.sealed[..<index])), "cut at \(index)")
        }
        #expect(!opens(job.envelope.bytes, job.sealed + [0]))
        // An unknown field appended to the envelope parses, and is refused all the same.
        #expect(!opens(job.envelope.bytes + [0xf8, 0x01, 0x01], job.sealed))
    }

    @Test("any byte of header, nonce or ciphertext flipped, cut off or added: the client refuses")
    func tamperedResult() throws {
        let scene = try Scene()
        let job = try scene.job()
        let opened = try scene.opener().open(job.sealed, envelope: job.envelope, now: Scene.now)
        let result = try ResultSealer(signing: scene.signing(scene.worker)).seal(
            scene.body(), status: .done, answering: opened, fence: scene.fence())
        func opens(_ header: [UInt8], _ sealed: [UInt8]) -> Bool {
            guard let header = try? ResultHeader(bytes: header) else { return false }
            return (try? scene.open((header, sealed), of: job)) != nil
        }
        #expect(opens(result.header.bytes, result.sealed))
        for index in result.header.bytes.indices {
            for bit in [UInt8(1), 0x80] {
                var changed = result.header.bytes
                changed[index] ^= bit
                #expect(!opens(changed, result.sealed), "header byte \(index)")
            }
        }
        for index in result.sealed.indices {
            var changed = result.sealed
            changed[index] ^= 1
            #expect(!opens(result.header.bytes, changed), "sealed byte \(index)")
            #expect(!opens(result.header.bytes, Array(result.sealed[..<index])), "cut at \(index)")
        }
        #expect(!opens(result.header.bytes, result.sealed + [0]))
    }

    @Test("sealing again gives the same bytes; other bodies, envelopes and fences give other nonces")
    func nonces() throws {
        let scene = try Scene()
        let job = try scene.job()
        let sealer = JobSealer(signing: try scene.signing(scene.client))
        func seal(_ body: WirePayload) throws -> [UInt8] {
            try sealer.seal(body.encoded, in: job.envelope, ephemeral: job.ephemeral, poolKey: job.key.key)
        }
        #expect(try seal(scene.body()) == job.sealed)
        var nonces: Set<[UInt8]> = []
        for count in 1...50 { nonces.insert(Array(try seal(scene.body(count)).prefix(24))) }
        #expect(nonces.count == 50)
        let opened = try scene.opener().open(job.sealed, envelope: job.envelope, now: Scene.now)
        let answer = ResultSealer(signing: try scene.signing(scene.worker))
        for attempt in 1...50 {
            let fence = Fence(broker: try scene.fence().broker, bootEpoch: 1, attempt: UInt32(attempt))
            nonces.insert(
                Array(try answer.seal(scene.body(), status: .done, answering: opened, fence: fence).sealed.prefix(24)))
        }
        #expect(nonces.count == 100)
    }

    @Test("a stolen pool key opens a job, and cannot answer it")
    func stolenPoolKey() throws {
        let scene = try Scene()
        let job = try scene.job()
        let opened = try scene.opener().open(job.sealed, envelope: job.envelope, now: Scene.now)
        let thief = ResultSealer(signing: try Ed25519KeyPair.generate())
        let forged = try thief.seal(scene.body(), status: .done, answering: opened, fence: scene.fence())
        #expect(code { _ = try scene.open(forged, of: job) } == .untrusted)
        // Under a certified worker's name, with its own signature: the header is authentic, the signature is not.
        let named = ResultHeader(
            client: job.envelope.client, job: job.envelope.job, envelopeHash: forged.header.envelopeHash,
            fence: forged.header.fence, status: .done, worker: WorkerID(of: try scene.signing(scene.worker).publicKey))
        #expect(code { _ = try scene.open((named, forged.sealed), of: job) } == .notAuthentic)
    }

    @Test("a worker of another role cannot answer")
    func wrongRole() throws {
        let scene = try Scene()
        let job = try scene.job(.denoise)
        let opened = try scene.opener().open(job.sealed, envelope: job.envelope, now: Scene.now)
        let trainer = ResultSealer(signing: try scene.signing(scene.trainer))
        let result = try trainer.seal(scene.body(), status: .done, answering: opened, fence: scene.fence())
        #expect(code { _ = try scene.open(result, of: job) } == .untrusted)
        let publication = try scene.job(.train)
        let openedToo = try scene.opener().open(publication.sealed, envelope: publication.envelope, now: Scene.now)
        let receipt = try trainer.seal(scene.body(), status: .done, answering: openedToo, fence: scene.fence())
        #expect(try scene.open(receipt, of: publication) == scene.body())
    }

    @Test("another client cannot speak under this client's name")
    func wrongClient() throws {
        let scene = try Scene()
        let ephemeral = try X25519KeyPair.generate()
        let key = try scene.deployment.sealingKey(for: .denoise, at: Scene.now)
        let envelope = try scene.envelope(ephemeral, key: key)
        let impostor = JobSealer(signing: try scene.signing(scene.other))
        #expect(
            code { _ = try impostor.seal([1], in: envelope, ephemeral: ephemeral, poolKey: key.key) } == .mismatched)
        // The impostor's own sealing code checks nothing: its job under its own name, then the name changed.
        let own = try scene.envelope(ephemeral, key: key, client: scene.other)
        let sealed = try impostor.seal(scene.body().encoded, in: own, ephemeral: ephemeral, poolKey: key.key)
        #expect(code { _ = try scene.opener().open(sealed, envelope: envelope, now: Scene.now) } == .notAuthentic)
    }

    @Test("a result for one envelope does not pass for another's")
    func wrongEnvelope() throws {
        let scene = try Scene()
        let first = try scene.job()
        let second = try scene.job()
        let opened = try scene.opener().open(first.sealed, envelope: first.envelope, now: Scene.now)
        let result = try ResultSealer(signing: scene.signing(scene.worker)).seal(
            scene.body(), status: .done, answering: opened, fence: scene.fence())
        #expect(code { _ = try scene.open(result, of: second) } == .mismatched)
    }

    @Test("expired jobs, keys that are not held and jobs for another role's key are refused")
    func refusals() throws {
        let scene = try Scene()
        let job = try scene.job()
        #expect(
            code { _ = try scene.opener().open(job.sealed, envelope: job.envelope, now: Scene.now + 1000) } == .expired)
        let empty = JobOpener(roster: scene.deployment.roster, secrets: PoolSecrets())
        #expect(code { _ = try empty.open(job.sealed, envelope: job.envelope, now: Scene.now) } == .untrusted)
        let stranger = try Roster(epoch: 9, issued: 0, clients: [])
        #expect(
            code {
                _ = try JobOpener(roster: stranger, secrets: scene.secrets).open(
                    job.sealed, envelope: job.envelope, now: Scene.now)
            } == .untrusted)
        let ephemeral = try X25519KeyPair.generate()
        let key = try scene.deployment.sealingKey(for: .train, at: Scene.now)
        let crossed = try scene.envelope(ephemeral, kind: .denoise, key: key)
        let sealed = try JobSealer(signing: scene.signing(scene.client)).seal(
            scene.body().encoded, in: crossed, ephemeral: ephemeral, poolKey: key.key)
        #expect(code { _ = try scene.opener().open(sealed, envelope: crossed, now: Scene.now) } == .mismatched)
    }

    @Test("a job that opens to rubbish is answered: the failure is sealed and signed too")
    func failure() throws {
        let scene = try Scene()
        let ephemeral = try X25519KeyPair.generate()
        let key = try scene.deployment.sealingKey(for: .denoise, at: Scene.now)
        let envelope = try scene.envelope(ephemeral, key: key)
        let sealed = try JobSealer(signing: scene.signing(scene.client)).seal(
            [0xff, 0xff], in: envelope, ephemeral: ephemeral, poolKey: key.key)
        #expect(code { _ = try scene.opener().open(sealed, envelope: envelope, now: Scene.now) } == .malformed)
        var failure = WireJobFailure()
        failure.code = .badPayload
        failure.message = "send a payload"
        let result = try ResultSealer(signing: scene.signing(scene.worker)).seal(
            failure, toUnopened: envelope, secrets: scene.secrets, fence: scene.fence(), now: Scene.now)
        #expect(result.header.status == .failed)
        let job = Job(envelope: envelope, sealed: sealed, ephemeral: ephemeral, key: key)
        #expect(try scene.open(result, of: job).jobFailure == failure)
    }

    @Test("sizes fall into buckets: 1 KiB at least, 12 % more at most")
    func buckets() throws {
        let scene = try Scene()
        let ephemeral = try X25519KeyPair.generate()
        let key = try scene.deployment.sealingKey(for: .denoise, at: Scene.now)
        let envelope = try scene.envelope(ephemeral, key: key)
        let sealer = JobSealer(signing: try scene.signing(scene.client))
        func size(_ count: Int) throws -> Int {
            try sealer.seal([UInt8](repeating: 1, count: count), in: envelope, ephemeral: ephemeral, poolKey: key.key)
                .count
        }
        #expect(try Set((0...956).filter { $0 % 50 == 0 || $0 == 956 }.map(size)) == [1024 + 40])
        var sizes: Set<Int> = []
        for count in stride(from: 1000, through: 200_000, by: 997) {
            let sealed = try size(count)
            #expect(sealed >= count + 68 + 40)
            #expect(Double(sealed - 40) <= Double(count + 68) * 1.12)
            sizes.insert(sealed)
        }
        #expect(sizes.count < 100)
        // Padmé by its definition, for a length worked by hand: 9,000 has E = 13, S = 4, so its last 9 bits become zero.
        #expect(try size(9000 - 68) == 9216 + 40)
    }
}

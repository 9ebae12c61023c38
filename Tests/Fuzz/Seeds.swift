import Chain
import Foundation
import Safetensors
import Sealing
import Sodium
import Topology
import Trust
import Wire

/// Honest inputs, to begin with: `collafuse-fuzz seeds FOLDER` writes them, a folder a decoder.
enum Seeds {
    static func write(to folder: URL) throws {
        for decoder in Decoder.allCases {
            let own = folder.appending(path: decoder.rawValue)
            try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
            for (number, seed) in try inputs(decoder).enumerated() {
                try Data(seed).write(to: own.appending(path: "seed-\(number)"))
            }
        }
    }

    private static func inputs(_ decoder: Decoder) throws -> [[UInt8]] {
        switch decoder {
        case .control: messages.map { frames in joined(frames.parts(sequence: 1)) }
        case .envelope:
            [
                [0] + Scene.envelope(job: 1).bytes, [0] + Scene.envelope(job: 2, kind: .publish).bytes,
                [1] + result(job: 1).bytes, [2] + checkpoint.message.encoded, [3] + (try run().bytes),
            ]
        case .sealed: try sealed()
        case .safetensors: try archives()
        case .zap: [joined(access(mechanism: "CURVE", key: 32)), joined(access(mechanism: "PLAIN", key: 5))]
        case .yaml: [[0] + topology.utf8, [1] + loadPlan.utf8]
        case .keys: try keys()
        case .broker: [conversation(jobAndResult), conversation(nackAndCancel)]
        case .peers: [conversation(brokersSide)]
        }
    }

    // MARK: Messages

    private static let fence = Fence(broker: Scene.broker, bootEpoch: 1, attempt: 1)

    private static func result(job number: UInt8) -> ResultHeader {
        let envelope = Scene.envelope(job: number)
        return ResultHeader(
            client: Scene.client, job: envelope.job, envelopeHash: Digest(of: envelope.bytes), fence: fence,
            status: .done, worker: Scene.worker)
    }

    private static let checkpoint = CheckpointHeader(fence: fence, step: 3, modelVersion: 2, worker: Scene.worker)

    private static var ready: Frames {
        var ready = WireReady()
        ready.role = ["denoise", "train"]
        ready.slots = 4
        ready.runID = Data(Scene.run.bytes)
        ready.poolKeyID = [Data(Scene.poolKey.bytes), Data(Scene.trainKey.bytes)]
        return Frames(.ready(ready))
    }

    private static func submit(_ number: UInt8) -> Frames {
        Frames(.submit(WireSubmit()), [Scene.envelope(job: number).bytes, [1, 2, 3]])
    }

    private static func id(_ number: UInt8) -> Data { Data(Scene.envelope(job: number).job.bytes) }

    private static func lease(_ number: UInt8) -> WireJobRef {
        var lease = WireJobRef()
        lease.clientID = Data(Scene.client.bytes)
        lease.jobID = id(number)
        lease.fence = fence.message
        return lease
    }

    private static func workerResult(_ number: UInt8) -> Frames {
        var message = WireWorkerResult()
        message.job = lease(number)
        message.cost = 1000
        return Frames(.workerResult(message), [result(job: number).bytes, [4, 5]])
    }

    private static var fetch: Frames { Frames(.fetch(WireFetch())) }

    private static var acknowledge: Frames {
        var message = WireResultAck()
        message.jobID = id(1)
        return Frames(.resultAck(message))
    }

    private static var cancel: Frames {
        var message = WireCancel()
        message.jobID = id(2)
        return Frames(.cancel(message))
    }

    private static var nack: Frames {
        var message = WireNack()
        message.job = lease(2)
        message.code = .outOfMemory
        return Frames(.nack(message))
    }

    private static var job: Frames {
        var job = WireJob()
        job.job = lease(1)
        return Frames(.job(job), [Scene.envelope(job: 1).bytes, [1, 2, 3]])
    }

    private static var resultForClient: Frames {
        var message = WireResult()
        message.jobID = id(1)
        return Frames(.result(message), [result(job: 1).bytes, [4, 5]])
    }

    private static var accepted: Frames {
        var message = WireAccepted()
        message.jobID = id(1)
        return Frames(.accepted(message))
    }

    private static var messages: [Frames] {
        [
            ready, submit(1), workerResult(1), fetch, acknowledge, cancel, nack, job, resultForClient, accepted,
            Frames(.ping(WirePing())), Frames(.statusQuery(WireStatusQuery())), Frames(.heartbeat(WireHeartbeat())),
            Frames(.hello(WireHello(role: "client", challenge: Scene.nonce))), Frames(.bye(WireBye())),
            Frames(.keys(WireKeys())),
        ]
    }

    // MARK: Conversations

    private static var jobAndResult: [(UInt8, Frames)] {
        [(2, ready), (0, submit(1)), (2, workerResult(1)), (0, fetch), (0, acknowledge), (39, fetch)]
    }

    private static var nackAndCancel: [(UInt8, Frames)] {
        [(0, submit(2)), (2, ready), (2, nack), (35, ready), (0, cancel), (1, submit(2)), (43, ready)]
    }

    private static var brokersSide: [(UInt8, Frames)] {
        [(0, accepted), (0, job), (35, job), (0, resultForClient), (39, Frames(.pong(WirePong())))]
    }

    private static func conversation(_ turns: [(UInt8, Frames)]) -> [UInt8] {
        joined(
            turns.flatMap { speaker, frames in
                let parts = frames.parts(sequence: 1)
                return [[speaker, UInt8(parts.count - 1)] + parts[0]] + parts.dropFirst()
            })
    }

    private static func joined(_ pieces: [[UInt8]]) -> [UInt8] {
        pieces.flatMap { [UInt8($0.count & 255), UInt8($0.count >> 8)] + $0 }
    }

    private static func access(mechanism: String, key length: Int) -> [[UInt8]] {
        ["1.0", "1", "clients", "127.0.0.1", "", mechanism].map { Array($0.utf8) }
            + [Array(repeating: 7, count: length)]
    }

    // MARK: Files

    private static func run() throws -> RunDocument {
        RunDocument(
            try RunDescriptor(
                name: "digits", schedule: Schedule(.cosine(), timesteps: 1000),
                image: .init(channels: 1, height: 8, width: 8), labels: ["0", "1"], backboneConfig: "{}",
                nonce: Array(repeating: 1, count: RunDescriptor.nonceLength), created: Scene.wall))
    }

    private static func payload() throws -> WirePayload {
        var payload = WirePayload()
        payload.publishRequest.cut = 500
        payload.tensors = try archive([("masked", .float32, [1, 1, 2, 2])]).encoded()
        return payload
    }

    private static func sealed() throws -> [[UInt8]] {
        var denoise = WirePayload()
        denoise.denoiseRequest.timestep = [1000, 750, 500]
        denoise.denoiseRequest.label = [1]
        denoise.denoiseRequest.cut = 500
        let body = try payload().encoded
        let plaintext = try SignedBody.encode(body, signature: Array(repeating: 6, count: SignedBody.signatureLength))
        return [plaintext, body, denoise.encoded]
    }

    private static func archive(
        _ tensors: [(name: String, type: ElementType, shape: [Int])]
    ) throws -> SafetensorsArchive {
        var archive = SafetensorsArchive(metadata: ["format": "pt"])
        for tensor in tensors {
            let count = tensor.shape.reduce(1, *) * tensor.type.size
            try archive.append(
                .init(name: tensor.name, type: tensor.type, shape: tensor.shape, bytes: Data(count: count)))
        }
        return archive
    }

    private static func archives() throws -> [[UInt8]] {
        [
            try Array(archive([("a", .float32, [2, 3]), ("b.\"quoted\"", .int64, [])]).encoded()),
            try Array(archive([]).encoded()),
        ]
    }

    private static let topology = """
        run:
          name: digits
          timesteps: 1000
          schedule: cosine
          cut: 500
          image: [1, 8, 8]
          labels: ["0", "1"]
          backbone: {channels: [32, 64], layers: 1, attention: [false, true]}
        workers:
          - {name: trainer, role: train, images: 40000, threads: 1}
          - {name: denoiser, role: denoise}
        limit_db: 3
        clients:
          - &north {name: north, images: digits.safetensors, labels: [0, 1], head: {images: 12000}}
        sample: {per_label: 50, steps: 50, sampler: ddpm}
        report: {cuts: [200, 500]}
        """

    private static let loadPlan = """
        arrivals: poisson
        stages: [30s@100..500/s, {for: 10s, rate: 500}]
        tenants:
          - {name: a, clients: 100}
        timeout: 30s
        """

    private static func keys() throws -> [[UInt8]] {
        let signing = try Ed25519KeyPair.generate(), exchange = try X25519KeyPair.generate()
        let now = Scene.wall
        let validity = Validity(notBefore: now - 1000, notAfter: now + 1000)
        let name = try NodeName("node")
        let worker = WorkerCertificate(
            name: name, roles: [.denoise], curveKey: exchange.publicKey, signingKey: signing.publicKey,
            wrappingKey: exchange.publicKey, validity: validity)
        let member = RosterClient(name: name, curveKey: exchange.publicKey, signingKey: signing.publicKey)
        let key = try PoolKey(
            role: .train, epoch: 1, key: exchange.publicKey, notBefore: now - 1000, sealUntil: now + 1000,
            openUntil: now + 1000)
        let folder = FileManager.default.temporaryDirectory.appending(path: "collafuse-fuzz-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let request = try NodeKit.generate(.worker, name: name, in: folder).request.bytes
        return [
            [0, 1] + Array("collafuse-key-1\n".utf8) + [3] + Array(repeating: 1, count: 32 + 16), [7] + request,
            [2] + (try Roster(epoch: 1, issued: now, clients: [member]).statement), [3] + worker.statement,
            [4] + BrokerCertificate(name: name, curveKey: exchange.publicKey, validity: validity).statement,
            [5] + PoolKeys(epoch: 1, issued: now, keys: [key]).statement, [6] + (try run().bytes),
            [1]
                + (try SignedStatement.certify(
                    signer: Signer(name: "signer", key: signing.publicKey, validity: validity), by: signing)),
        ]
    }
}

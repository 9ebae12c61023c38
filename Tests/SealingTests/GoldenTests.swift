import Foundation
import Sealing
import Sodium
import SwiftProtobuf
import Testing
import Trust
import Wire

/// Against `Tests/Goldens/sealing.py`: another implementation, of the document and not of this code. Sealing is deterministic, so the
/// bytes must be the same.
@Suite struct GoldenTests {
    private struct Golden: Decodable {
        let clientSeed, workerSeed, ephemeralSecret, poolSecret: String
        let envelope, jobBody, job: String
        let brokerId: String
        let bootEpoch: UInt64
        let attempt: UInt32
        let resultHeader, resultBody, result: String
        let step: UInt32
        let modelVersion: UInt64
        let checkpoint: String
    }

    private let golden: Golden
    private let client, worker: Ed25519KeyPair
    private let ephemeral: X25519KeyPair
    private let poolKey: PoolKey
    private let secrets: PoolSecrets
    private let envelope: Envelope
    private let fence: Fence

    init() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Goldens/sealing.json")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        golden = try decoder.decode(Golden.self, from: Data(contentsOf: file))
        client = try Ed25519KeyPair(seed: SecretBytes(copying: hex(golden.clientSeed)))
        worker = try Ed25519KeyPair(seed: SecretBytes(copying: hex(golden.workerSeed)))
        ephemeral = try X25519KeyPair(secret: SecretBytes(copying: hex(golden.ephemeralSecret)))
        let pool = try X25519KeyPair(secret: SecretBytes(copying: hex(golden.poolSecret)))
        poolKey = try PoolKey(
            role: .denoise, epoch: 1, key: pool.publicKey, notBefore: Scene.now - 1, sealUntil: Scene.now + 1,
            openUntil: Scene.now + 1)
        var secrets = PoolSecrets()
        try secrets.add(pool, for: poolKey)
        self.secrets = secrets
        envelope = try Envelope(bytes: hex(golden.envelope))
        fence = Fence(
            broker: try #require(BrokerID(Data(hex(golden.brokerId)))), bootEpoch: golden.bootEpoch,
            attempt: golden.attempt)
    }

    private func opened() throws -> OpenedJob {
        let member = RosterClient(
            name: try NodeName("client"), curveKey: ephemeral.publicKey, signingKey: client.publicKey)
        return try JobOpener(roster: Roster(epoch: 1, issued: Scene.now, clients: [member]), secrets: secrets)
            .open(hex(golden.job), envelope: envelope, now: Scene.now)
    }

    @Test func aJob() throws {
        let body = hex(golden.jobBody)
        let sealed = try JobSealer(signing: client).seal(
            body, in: envelope, ephemeral: ephemeral, poolKey: poolKey.key)
        #expect(sealed == hex(golden.job))
        #expect(try opened().payload == WirePayload(serializedBytes: body))
    }

    @Test func aResult() throws {
        let result = try ResultSealer(signing: worker).seal(
            WirePayload(serializedBytes: hex(golden.resultBody)), status: .done, answering: opened(), fence: fence)
        #expect(result.header.bytes == hex(golden.resultHeader))
        #expect(result.sealed == hex(golden.result))
    }

    @Test func aCheckpoint() throws {
        let sealer = CheckpointSealer(signing: worker, secrets: secrets, deployment: try Scene().deployment)
        let header = CheckpointHeader(
            fence: fence, step: golden.step, modelVersion: golden.modelVersion, worker: sealer.worker)
        let sealed = try sealer.seal(
            WirePayload(serializedBytes: hex(golden.resultBody)), of: envelope, header, now: Scene.now)
        #expect(sealed == hex(golden.checkpoint))
    }
}

private func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

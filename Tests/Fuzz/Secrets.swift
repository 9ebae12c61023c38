import Foundation
import Sealing
import Sodium
import Trust
import Wire

/// A client's job at a worker that holds the pool's secret.
struct SealedHarness {
    private let client = try! Ed25519KeyPair.generate()
    private let ephemeral = try! X25519KeyPair.generate()
    private let sealer: JobSealer
    private let opener: JobOpener
    private let poolKey: PoolKey
    private let envelope: Envelope
    private static let now: UnixTime = 1_800_000_000_000

    init() throws {
        let pool = try X25519KeyPair.generate()
        poolKey = try PoolKey(
            role: .denoise, epoch: 1, key: pool.publicKey, notBefore: Self.now - 1000, sealUntil: Self.now + 1000,
            openUntil: Self.now + 1000)
        var secrets = PoolSecrets()
        try secrets.add(pool, for: poolKey)
        sealer = JobSealer(signing: client)
        envelope = Envelope(
            client: sealer.client, job: Scene.filled(1), kind: .denoise,
            run: Scene.filled(2), created: Self.now, expires: Self.now + 1000, poolKey: poolKey.id,
            clientEphemeralKey: ephemeral.publicKey)
        let member = RosterClient(
            name: try NodeName("client"), curveKey: ephemeral.publicKey, signingKey: client.publicKey)
        opener = JobOpener(
            roster: try Roster(epoch: 1, issued: Self.now, clients: [member]), secrets: secrets)
    }

    /// Every input is read as a plaintext and as a payload. Sealing takes a thousand times as long, so only some are sealed too, and
    /// which ones is a matter of all their bytes: else the fuzzer would soon try little else.
    func run(_ input: [UInt8]) {
        readPlaintext(input)
        _ = try? WirePayload(decoding: input, as: "payload")
        let hash = input.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }  // FNV-1a
        switch (hash >> 8) % 256 {
        case 0: sealAndOpen(input)
        case 1: tamper(input)
        case 2: _ = try? opener.open(input, envelope: envelope, now: Self.now)
        default: break
        }
    }

    private func readPlaintext(_ plaintext: [UInt8]) {
        guard let (body, signature) = try? SignedBody.decode(plaintext) else { return }
        precondition((try? SignedBody.encode(body, signature: signature)) == plaintext)
    }

    /// What an honest seal holds comes out as it went in, or is refused as no payload.
    private func sealAndOpen(_ body: [UInt8]) {
        let payload = try? WirePayload(decoding: body, as: "payload")
        let opened = try? opener.open(sealed(body), envelope: envelope, now: Self.now)
        precondition(opened?.payload == payload)
    }

    /// Two bytes say where, one says how, in the ciphertext or in the envelope; the rest is the body.
    private func tamper(_ input: [UInt8]) {
        guard input.count >= 3, input[2] != 0 else { return }
        let place = Int(input[0]) | Int(input[1]) << 8
        var sealed = sealed(Array(input.dropFirst(3)))
        if place % 2 == 0 {
            sealed[place / 2 % sealed.count] ^= input[2]
            precondition((try? opener.open(sealed, envelope: envelope, now: Self.now)) == nil)
        } else {
            var bytes = envelope.bytes
            bytes[place / 2 % bytes.count] ^= input[2]
            guard let changed = try? Envelope(bytes: bytes) else { return }
            precondition((try? opener.open(sealed, envelope: changed, now: Self.now)) == nil)
        }
    }

    private func sealed(_ body: [UInt8]) -> [UInt8] {
        try! sealer.seal(body, in: envelope, ephemeral: ephemeral, poolKey: poolKey.key)
    }
}

/// Files of keys, and statements that say they are an operator's.
struct KeysHarness {
    private let root = try! Ed25519KeyPair.generate()
    private let signer = try! Ed25519KeyPair.generate()
    private let certificate: [UInt8]
    private let file: URL
    private static let now: UnixTime = 1_800_000_000_000

    init() throws {
        certificate = try SignedStatement.certify(
            signer: Signer(
                name: "signer", key: signer.publicKey,
                validity: Validity(notBefore: Self.now - 1000, notAfter: Self.now + 1000)), by: root)
        file = FileManager.default.temporaryDirectory.appending(path: "collafuse-fuzz-\(UUID().uuidString).key")
        guard FileManager.default.createFile(atPath: file.path, contents: nil, attributes: [.posixPermissions: 0o600])
        else { throw CocoaError(.fileWriteUnknown) }
    }

    /// The first byte picks what the rest is.
    func run(_ input: [UInt8]) {
        guard let kind = input.first else { return }
        let rest = Array(input.dropFirst())
        switch kind % 8 {
        case 0: readKeyFile(rest)
        case 1: verify(rest, as: .roster, isForged: true)
        case 2, 3, 4, 5, 6: verifySigned(rest, as: [.roster, .worker, .broker, .poolKeys, .run][Int(kind % 8) - 2])
        default:
            guard let request = try? NodeRequest(bytes: rest) else { return }
            precondition((try? NodeRequest(bytes: request.bytes))?.bytes == request.bytes)
        }
    }

    private func readKeyFile(_ bytes: [UInt8]) {
        guard let number = bytes.first, let handle = try? FileHandle(forWritingTo: file) else { return }
        defer { try? handle.close() }
        try! handle.truncate(atOffset: 0)
        try! handle.write(contentsOf: bytes.dropFirst())
        let purposes = SecretFile.Purpose.allCases
        _ = try? SecretFile.read(purposes[Int(number) % purposes.count], from: file)
    }

    /// Signed by the operator's signer.
    private func verifySigned(_ statement: [UInt8], as kind: StatementKind) {
        let bytes = try! SignedStatement.sign(statement, as: kind, by: signer, certificate: certificate)
        verify(bytes, as: kind, isForged: false)
    }

    private func verify(_ bytes: [UInt8], as kind: StatementKind, isForged: Bool) {
        let root = root.publicKey, now = Self.now
        let statement: Any? =
            switch kind {
            case .roster: try? Roster(verifying: bytes, root: root, now: now)
            case .worker: try? WorkerCertificate(verifying: bytes, root: root, now: now)
            case .broker: try? BrokerCertificate(verifying: bytes, root: root, now: now)
            case .poolKeys: try? PoolKeys(verifying: bytes, root: root, now: now)
            case .run: try? CertifiedRun(verifying: bytes, root: root, now: now)
            case .signer: try? SignedStatement.verifySigner(bytes, root: root, now: now)
            }
        precondition(!isForged || statement == nil, "a statement was taken that nobody signed")
    }
}

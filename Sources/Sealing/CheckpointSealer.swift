package import Sodium
package import Trust
package import Wire

/// Seals the state of a running job for the pool, and opens what another of its workers sealed.
///
///     let sealed = try sealer.seal(state, of: job.envelope, header, now: now)
///     let state = try sealer.open(sealed, of: job.envelope, header, now: now)
///
/// The key is made of the pool secret and H(envelope), so that every worker of the pool has it, and neither broker nor client.
/// The worker signs: who stole a pool key cannot put words into a worker's mouth this way either. The broker may hand
/// out an older checkpoint than the newest; that costs steps and changes nothing.
package struct CheckpointSealer: Sendable {
    private let signing: Ed25519KeyPair
    private let secrets: PoolSecrets
    /// Says who the workers of the pool are.
    private let deployment: Deployment
    package let worker: WorkerID

    package init(signing: Ed25519KeyPair, secrets: PoolSecrets, deployment: Deployment) {
        self.signing = signing
        self.secrets = secrets
        self.deployment = deployment
        worker = WorkerID(of: signing.publicKey)
    }

    /// - Parameter header: names this worker.
    /// - Throws: `.mismatched`, `.tooLarge`, `.untrusted` or `.expired` for a pool key that is not held, `.cryptography`.
    package func seal(
        _ payload: WirePayload, of envelope: Envelope, _ header: CheckpointHeader, now: UnixTime
    ) throws(SealingError) -> [UInt8] {
        guard header.worker == worker else {
            throw SealingError(.mismatched, "the checkpoint names another worker than the one that seals it")
        }
        let keys = try keys(envelope, now)
        let body = payload.encoded
        let signature = try asSealingError { () throws(SodiumError) in
            try signing.sign(Signatures.checkpoint(envelope, header, body: body))
        }
        let plaintext = try SignedBody.encode(body, signature: signature)
        return try asSealingError { () throws(SodiumError) in
            try keys.seal(plaintext, associatedData: Signatures.checkpointAssociatedData(header))
        }
    }

    /// - Throws: `.untrusted` or `.expired` for a pool key that is not held or a worker without certificate; `.notAuthentic`,
    ///   `.badSignature`, `.malformed`.
    package func open(
        _ sealed: [UInt8], of envelope: Envelope, _ header: CheckpointHeader, now: UnixTime
    ) throws(SealingError) -> WirePayload {
        guard let role = PoolRole(serving: envelope.kind) else {
            throw SealingError(.mismatched, "no worker serves this kind of job")
        }
        let author = try trusting { () throws(TrustError) in try deployment.worker(header.worker, for: role, at: now) }
        let keys = try keys(envelope, now)
        let plaintext = try asSealingError { () throws(SodiumError) in
            try keys.open(sealed, associatedData: Signatures.checkpointAssociatedData(header))
        }
        let (body, signature) = try SignedBody.decode(plaintext)
        guard author.signingKey.accepts(signature, of: Signatures.checkpoint(envelope, header, body: body)) else {
            throw SealingError(
                .badSignature, "the checkpoint is not signed by worker \(author.name), whom its header names")
        }
        do { return try WirePayload(decoding: body, as: "checkpoint") } catch {
            throw SealingError(.malformed, error.message)
        }
    }

    private func keys(_ envelope: Envelope, _ now: UnixTime) throws(SealingError) -> JobKeys.Direction {
        let pair = try trusting { () throws(TrustError) in try secrets.pair(for: envelope.poolKey, at: now).pair }
        return try asSealingError { () throws(SodiumError) in
            try JobKeys.Direction(pair.secret, "checkpoint", BLAKE2b.hash(envelope.bytes))
        }
    }
}

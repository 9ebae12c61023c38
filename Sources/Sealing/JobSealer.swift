package import Sodium
package import Trust
package import Wire

/// Seals a client's jobs.
///
///     let sealed = try JobSealer(signing: kit.signing).seal(body, in: envelope, ephemeral: keys, poolKey: key.key)
///
/// Sealing is deterministic: what lies in the spool gives the same bytes each time.
package struct JobSealer: Sendable {
    private let signing: Ed25519KeyPair
    package let client: ClientID

    package init(signing: Ed25519KeyPair) {
        self.signing = signing
        client = ClientID(of: signing.publicKey)
    }

    /// - Parameters:
    ///   - body: a serialised `WirePayload`.
    ///   - envelope: names this client, the pool key and the ephemeral key.
    ///   - ephemeral: made for this generation of the job alone.
    ///   - poolKey: X25519, of the bundle.
    /// - Returns: frame 2: nonce ‖ ciphertext.
    /// - Throws: `.mismatched`, `.tooLarge`, `.cryptography`.
    package func seal(
        _ body: [UInt8], in envelope: Envelope, ephemeral: X25519KeyPair, poolKey: [UInt8]
    ) throws(SealingError) -> [UInt8] {
        guard envelope.client == client else {
            throw SealingError(
                .mismatched, "the envelope names client \(envelope.client.short), and this is \(client.short)")
        }
        let keys = try JobKeys.client(envelope, ephemeral: ephemeral, poolKey: poolKey)
        let signature = try asSealingError { () throws(SodiumError) in
            try signing.sign(Signatures.job(envelope, body: body))
        }
        let plaintext = try SignedBody.encode(body, signature: signature)
        return try asSealingError { () throws(SodiumError) in
            try keys.job.seal(plaintext, associatedData: envelope.bytes)
        }
    }
}

/// Opens the answers to a client's jobs.
package struct ResultOpener: Sendable {
    private let deployment: Deployment

    package init(deployment: Deployment) { self.deployment = deployment }

    /// - Parameters:
    ///   - header: frame 1 of the result.
    ///   - sealed: frame 2 of the result.
    ///   - envelope: of the job as it was sent; `ephemeral` and `poolKey` as in ``JobSealer``.
    /// - Throws: `.mismatched` when the header answers another envelope; `.untrusted` or `.expired` for a worker that
    ///   is not certified for the role; `.notAuthentic`, `.badSignature`, `.malformed`.
    package func open(
        _ sealed: [UInt8], header: ResultHeader, envelope: Envelope, ephemeral: X25519KeyPair, poolKey: [UInt8],
        now: UnixTime
    ) throws(SealingError) -> WirePayload {
        guard header.key == envelope.key, header.envelopeHash == Digest(of: envelope.bytes) else {
            throw SealingError(.mismatched, "this result answers another envelope than the one that was sent")
        }
        guard let role = PoolRole(serving: envelope.kind) else {
            throw SealingError(.mismatched, "no worker serves this kind of job")
        }
        let worker = try trusting { () throws(TrustError) in try deployment.worker(header.worker, for: role, at: now) }
        let keys = try JobKeys.client(envelope, ephemeral: ephemeral, poolKey: poolKey)
        let plaintext = try asSealingError { () throws(SodiumError) in
            try keys.result.open(sealed, associatedData: Signatures.resultAssociatedData(header))
        }
        let (body, signature) = try SignedBody.decode(plaintext)
        guard worker.signingKey.accepts(signature, of: Signatures.result(header, body: body)) else {
            throw SealingError(
                .badSignature, "the result is not signed by worker \(worker.name), whom its header names")
        }
        do { return try WirePayload(decoding: body, as: "result") } catch {
            throw SealingError(.malformed, error.message)
        }
    }
}

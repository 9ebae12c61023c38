package import Sodium
package import Trust
package import Wire

/// Opens jobs at a worker.
package struct JobOpener: Sendable {
    private let roster: Roster
    private let secrets: PoolSecrets

    package init(roster: Roster, secrets: PoolSecrets) {
        self.roster = roster
        self.secrets = secrets
    }

    /// - Throws: `.expired` for a job or pool key past its time; `.untrusted` for a client without the right or a pool key
    ///   that is not held; `.mismatched` for a job of another role than its key's; `.notAuthentic`, `.badSignature`,
    ///   `.malformed`.
    package func open(_ sealed: [UInt8], envelope: Envelope, now: UnixTime) throws(SealingError) -> OpenedJob {
        guard now < envelope.expires else { throw SealingError(.expired, "the job expired before it was opened") }
        guard let role = PoolRole(serving: envelope.kind) else {
            throw SealingError(.mismatched, "no worker serves this kind of job")
        }
        let client = try trusting { () throws(TrustError) in try roster.client(envelope.client, for: role) }
        let (poolKey, pair) = try trusting { () throws(TrustError) in try secrets.pair(for: envelope.poolKey, at: now) }
        guard poolKey.role == role else {
            throw SealingError(
                .mismatched, "a \(role.rawValue) job is sealed to the pool key of the role \(poolKey.role.rawValue)")
        }
        let keys = try JobKeys.pool(envelope, secret: pair)
        let plaintext = try asSealingError { () throws(SodiumError) in
            try keys.job.open(sealed, associatedData: envelope.bytes)
        }
        let (body, signature) = try SignedBody.decode(plaintext)
        guard client.signingKey.accepts(signature, of: Signatures.job(envelope, body: body)) else {
            throw SealingError(.badSignature, "the job is not signed by client \(client.name), whom its envelope names")
        }
        do {
            return OpenedJob(
                envelope: envelope, client: client, payload: try WirePayload(decoding: body, as: "job"), keys: keys)
        } catch {
            throw SealingError(.malformed, error.message)
        }
    }
}

/// A job that was opened, with what it takes to answer it.
package struct OpenedJob: Sendable {
    package let envelope: Envelope
    package let client: RosterClient
    package let payload: WirePayload
    fileprivate let keys: JobKeys
}

/// Seals a worker's answers.
package struct ResultSealer: Sendable {
    private let signing: Ed25519KeyPair
    package let worker: WorkerID

    package init(signing: Ed25519KeyPair) {
        self.signing = signing
        worker = WorkerID(of: signing.publicKey)
    }

    /// - Parameters:
    ///   - status: `.failed` for a `JobFailure`: errors are sealed and signed like everything else.
    ///   - fence: the attempt that speaks.
    /// - Returns: frames 1 and 2 of the result.
    package func seal(
        _ payload: WirePayload, status: WireResultStatus, answering job: OpenedJob, fence: Fence
    ) throws(SealingError) -> (header: ResultHeader, sealed: [UInt8]) {
        try seal(payload, status: status, envelope: job.envelope, keys: job.keys, fence: fence)
    }

    /// For a job that this worker holds the pool key of, and could not open: only its envelope is known.
    ///
    /// - Throws: `.untrusted` or `.expired` when the pool secret is not held; then nobody here can answer.
    package func seal(
        _ failure: WireJobFailure, toUnopened envelope: Envelope, secrets: PoolSecrets, fence: Fence, now: UnixTime
    ) throws(SealingError) -> (header: ResultHeader, sealed: [UInt8]) {
        let pair = try trusting { () throws(TrustError) in try secrets.pair(for: envelope.poolKey, at: now).pair }
        var payload = WirePayload()
        payload.jobFailure = failure
        return try seal(
            payload, status: .failed, envelope: envelope, keys: JobKeys.pool(envelope, secret: pair), fence: fence)
    }

    private func seal(
        _ payload: WirePayload, status: WireResultStatus, envelope: Envelope, keys: JobKeys, fence: Fence
    ) throws(SealingError) -> (header: ResultHeader, sealed: [UInt8]) {
        let header = ResultHeader(
            client: envelope.client, job: envelope.job, envelopeHash: Digest(of: envelope.bytes), fence: fence,
            status: status, worker: worker)
        let body = payload.encoded
        let signature = try asSealingError { () throws(SodiumError) in
            try signing.sign(Signatures.result(header, body: body))
        }
        let plaintext = try SignedBody.encode(body, signature: signature)
        let sealed = try asSealingError { () throws(SodiumError) in
            try keys.result.seal(plaintext, associatedData: Signatures.resultAssociatedData(header))
        }
        return (header, sealed)
    }
}

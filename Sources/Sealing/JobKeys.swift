internal import Sodium
internal import Trust
internal import Wire

/// The keys of one envelope, for both directions.
///
/// `crypto_kx` between the client's ephemeral key and the pool key gives two secrets; from each, BLAKE2b keyed with it and fed
/// a tag and the envelope's bytes gives an encryption key and a nonce key. So no two envelopes share a key, not even
/// two generations of a job under one ephemeral key.
struct JobKeys: Sendable {
    struct Direction: Sendable {
        let encryption: SecretBytes
        /// Makes the nonce from what is sealed: see ``seal(_:associatedData:)``.
        let nonce: SecretBytes

        init(_ secret: SecretBytes, _ name: String, _ envelope: [UInt8]) throws(SodiumError) {
            encryption = try BLAKE2b.derive(from: secret, Array("collafuse-1 \(name) encryption\0".utf8), envelope)
            nonce = try BLAKE2b.derive(from: secret, Array("collafuse-1 \(name) nonce\0".utf8), envelope)
        }

        /// nonce (24) ‖ ciphertext ‖ tag (16).
        ///
        /// The nonce is a keyed hash of associated data and plaintext: the same job sealed again after a crash is the same
        /// bytes, which a broker takes for the same job, and two different plaintexts never meet under one nonce.
        func seal(_ plaintext: [UInt8], associatedData: [UInt8]) throws(SodiumError) -> [UInt8] {
            let length = XChaCha20Poly1305.nonceLength
            let nonce = BLAKE2b.mac(key: self.nonce, BLAKE2b.hash(associatedData), plaintext, length: length)
            return nonce
                + (try XChaCha20Poly1305.seal(plaintext, nonce: nonce, associatedData: associatedData, key: encryption))
        }

        func open(_ sealed: [UInt8], associatedData: [UInt8]) throws(SodiumError) -> [UInt8] {
            let length = XChaCha20Poly1305.nonceLength
            guard sealed.count >= length else {
                throw SodiumError(.notAuthentic, "the sealed payload is cut short")
            }
            return try XChaCha20Poly1305.open(
                Array(sealed[length...]), nonce: Array(sealed[..<length]), associatedData: associatedData,
                key: encryption)
        }
    }

    /// Client to pool.
    let job: Direction
    /// Worker to client.
    let result: Direction

    static func client(_ envelope: Envelope, ephemeral: X25519KeyPair, poolKey: [UInt8]) throws(SealingError) -> JobKeys
    {
        guard ephemeral.publicKey == envelope.clientEphemeralKey, PoolKeyID(of: poolKey) == envelope.poolKey else {
            throw SealingError(
                .mismatched, "the envelope names another ephemeral key or pool key than it is sealed with")
        }
        return try asSealingError { () throws(SodiumError) in
            let keys = try SessionKeys.client(ephemeral, server: poolKey)
            return JobKeys(
                job: try Direction(keys.transmit, "job", envelope.bytes),
                result: try Direction(keys.receive, "result", envelope.bytes))
        }
    }

    static func pool(_ envelope: Envelope, secret: X25519KeyPair) throws(SealingError) -> JobKeys {
        try asSealingError { () throws(SodiumError) in
            let keys = try SessionKeys.server(secret, client: envelope.clientEphemeralKey)
            return JobKeys(
                job: try Direction(keys.receive, "job", envelope.bytes),
                result: try Direction(keys.transmit, "result", envelope.bytes))
        }
    }
}

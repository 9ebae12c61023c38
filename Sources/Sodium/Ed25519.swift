internal import CSodium

/// An Ed25519 key pair (RFC 8032), kept as its seed. Signatures are deterministic: the same bytes give the same signature.
package struct Ed25519KeyPair: Sendable {
    package static let seedLength = 32

    package let publicKey: Ed25519PublicKey
    /// What a key file holds.
    package let seed: SecretBytes
    private let expanded: SecretBytes

    package static func generate() throws(SodiumError) -> Ed25519KeyPair {
        try Ed25519KeyPair(seed: SecretBytes.random(count: seedLength))
    }

    package init(seed: SecretBytes) throws(SodiumError) {
        guard seed.count == Self.seedLength else {
            throw .length(of: "an Ed25519 seed", seed.count, expected: Self.seedLength)
        }
        var publicKey = [UInt8](repeating: 0, count: Ed25519PublicKey.length)
        expanded = try SecretBytes(count: 64) { memory throws(SodiumError) in
            let status = seed.withPointer { crypto_sign_seed_keypair(&publicKey, memory, $0) }
            guard status == 0 else { throw SodiumError(.library, "an Ed25519 key could not be computed") }
        }
        self.publicKey = try Ed25519PublicKey(publicKey)
        self.seed = seed
    }

    /// - Returns: 64 bytes.
    package func sign(_ message: [UInt8]) throws(SodiumError) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: Ed25519PublicKey.signatureLength)
        let status = expanded.withPointer { crypto_sign_detached(&signature, nil, message, UInt64(message.count), $0) }
        guard status == 0 else { throw SodiumError(.library, "a message could not be signed") }
        return signature
    }
}

package struct Ed25519PublicKey: Hashable, Sendable {
    package static let length = 32
    package static let signatureLength = 64

    package let bytes: [UInt8]

    package init(_ bytes: some Collection<UInt8>) throws(SodiumError) {
        guard bytes.count == Self.length else {
            throw .length(of: "an Ed25519 public key", bytes.count, expected: Self.length)
        }
        self.bytes = Array(bytes)
    }

    /// False for a signature of another length too. libsodium refuses keys of low order and malleable signatures.
    package func accepts(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        signature.count == Self.signatureLength
            && crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
    }
}

internal import CSodium

/// An X25519 key pair (RFC 7748): for key agreement, for sealed boxes and as a ZeroMQ CURVE key, which is the same thing.
package struct X25519KeyPair: Sendable {
    package static let keyLength = 32

    package let publicKey: [UInt8]
    package let secret: SecretBytes

    package static func generate() throws(SodiumError) -> X25519KeyPair {
        try X25519KeyPair(secret: SecretBytes.random(count: keyLength))
    }

    /// The public key is computed, so a pair always fits together.
    package init(secret: SecretBytes) throws(SodiumError) {
        guard secret.count == Self.keyLength else {
            throw .length(of: "an X25519 secret", secret.count, expected: Self.keyLength)
        }
        var publicKey = [UInt8](repeating: 0, count: Self.keyLength)
        let status = secret.withPointer { crypto_scalarmult_base(&publicKey, $0) }
        guard status == 0 else { throw SodiumError(.library, "an X25519 public key could not be computed") }
        self.publicKey = publicKey
        self.secret = secret
    }
}

/// The two keys of a `crypto_kx` agreement, one for each direction: both public keys are hashed into them.
package struct SessionKeys: Sendable {
    package let receive: SecretBytes
    package let transmit: SecretBytes

    /// - Throws: `.weakKey` when the other party's key is a point of low order.
    package static func client(_ own: X25519KeyPair, server: [UInt8]) throws(SodiumError) -> SessionKeys {
        try agree(own, server, crypto_kx_client_session_keys)
    }

    /// - Throws: `.weakKey` when the other party's key is a point of low order.
    package static func server(_ own: X25519KeyPair, client: [UInt8]) throws(SodiumError) -> SessionKeys {
        try agree(own, client, crypto_kx_server_session_keys)
    }

    private typealias Bytes = UnsafeMutablePointer<UInt8>?
    private typealias Input = UnsafePointer<UInt8>

    /// 0: agreed; −1: the other party's key is not acceptable.
    private static func agree(
        _ own: X25519KeyPair, _ other: [UInt8], _ exchange: (Bytes, Bytes, Input, Input, Input) -> CInt
    ) throws(SodiumError) -> SessionKeys {
        guard other.count == X25519KeyPair.keyLength else {
            throw .length(of: "an X25519 public key", other.count, expected: X25519KeyPair.keyLength)
        }
        let both = try SecretBytes(count: 64) { memory throws(SodiumError) in
            let status = own.secret.withPointer { exchange(memory, memory + 32, own.publicKey, $0, other) }
            guard status == 0 else { throw SodiumError(.weakKey, "the other party's X25519 key is not acceptable") }
        }
        return SessionKeys(receive: try both.slice(0..<32), transmit: try both.slice(32..<64))
    }
}

/// `crypto_box_seal`: a secret wrapped to a public key by someone who need not be known.
package enum SealedBox {
    package static let overhead = 48

    package static func seal(_ secret: SecretBytes, to publicKey: [UInt8]) throws(SodiumError) -> [UInt8] {
        guard publicKey.count == X25519KeyPair.keyLength else {
            throw .length(of: "an X25519 public key", publicKey.count, expected: X25519KeyPair.keyLength)
        }
        try SodiumLibrary.initialize()
        var box = [UInt8](repeating: 0, count: secret.count + overhead)
        let status = secret.withPointer { crypto_box_seal(&box, $0, UInt64(secret.count), publicKey) }
        guard status == 0 else { throw SodiumError(.weakKey, "the secret cannot be wrapped to this X25519 key") }
        return box
    }

    /// - Throws: `.notAuthentic` when the box was made for another key, or changed.
    package static func open(_ box: [UInt8], with keys: X25519KeyPair) throws(SodiumError) -> SecretBytes {
        guard box.count > overhead else {
            throw SodiumError(.wrongLength, "a sealed box has more than \(overhead) bytes, not \(box.count)")
        }
        return try SecretBytes(count: box.count - overhead) { memory throws(SodiumError) in
            let status = keys.secret.withPointer {
                crypto_box_seal_open(memory, box, UInt64(box.count), keys.publicKey, $0)
            }
            guard status == 0 else {
                throw SodiumError(.notAuthentic, "this sealed box was made for another key, or was changed")
            }
        }
    }
}

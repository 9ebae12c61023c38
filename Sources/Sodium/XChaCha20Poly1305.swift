internal import CSodium

/// XChaCha20-Poly1305 (IETF draft-irtf-cfrg-xchacha): authenticated encryption with associated data.
///
/// Its nonce is long enough to be drawn at random or made by a keyed hash without a counter to remember.
package enum XChaCha20Poly1305 {
    package static let keyLength = 32
    package static let nonceLength = 24
    package static let tagLength = 16

    /// - Returns: ciphertext ‖ tag, 16 bytes longer than the plaintext.
    package static func seal(
        _ plaintext: [UInt8], nonce: [UInt8], associatedData: [UInt8], key: SecretBytes
    ) throws(SodiumError) -> [UInt8] {
        try check(nonce: nonce, key: key)
        var sealed = [UInt8](repeating: 0, count: plaintext.count + tagLength)
        let status = key.withPointer {
            crypto_aead_xchacha20poly1305_ietf_encrypt(
                &sealed, nil, plaintext, UInt64(plaintext.count), associatedData, UInt64(associatedData.count), nil,
                nonce, $0)
        }
        guard status == 0 else { throw SodiumError(.library, "a message could not be encrypted") }
        return sealed
    }

    /// - Throws: `.notAuthentic` when key, nonce, associated data or ciphertext are not those of the sealing.
    package static func open(
        _ sealed: [UInt8], nonce: [UInt8], associatedData: [UInt8], key: SecretBytes
    ) throws(SodiumError) -> [UInt8] {
        try check(nonce: nonce, key: key)
        guard sealed.count >= tagLength else {
            throw SodiumError(.wrongLength, "a sealed message has at least \(tagLength) bytes, not \(sealed.count)")
        }
        var plaintext = [UInt8](repeating: 0, count: sealed.count - tagLength)
        let status = key.withPointer {
            crypto_aead_xchacha20poly1305_ietf_decrypt(
                &plaintext, nil, nil, sealed, UInt64(sealed.count), associatedData, UInt64(associatedData.count), nonce,
                $0)
        }
        guard status == 0 else {
            throw SodiumError(.notAuthentic, "the sealed message was changed, or sealed under another key")
        }
        return plaintext
    }

    private static func check(nonce: [UInt8], key: SecretBytes) throws(SodiumError) {
        guard nonce.count == nonceLength else { throw .length(of: "a nonce", nonce.count, expected: nonceLength) }
        guard key.count == keyLength else { throw .length(of: "a key", key.count, expected: keyLength) }
    }
}

internal import CSodium

/// BLAKE2b (RFC 7693), with and without a key.
///
///     BLAKE2b.hash(tag, envelope.bytes)             // 32 bytes
///     BLAKE2b.hash(publicKey, length: 16)           // an id
///     try BLAKE2b.derive(from: shared, context)     // a key, kept secret
///
/// Parts are hashed one after another as if concatenated: callers keep every part but one at a fixed length.
package enum BLAKE2b {
    /// - Parameter length: 16 … 64 bytes.
    package static func hash(_ parts: [UInt8]..., length: Int = 32) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: length) { out, initialized in
            if let start = out.baseAddress { digest(parts, key: nil, into: start, length: length) }
            initialized = length
        }
    }

    /// A keyed hash that may be seen: a name, a nonce, a check.
    ///
    /// - Parameters:
    ///   - key: 16 … 64 bytes.
    ///   - length: 16 … 64 bytes.
    package static func mac(key: SecretBytes, _ parts: [UInt8]..., length: Int = 32) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: length) { out, initialized in
            if let start = out.baseAddress { digest(parts, key: key, into: start, length: length) }
            initialized = length
        }
    }

    /// A keyed hash that is a key itself.
    package static func derive(
        from key: SecretBytes, _ parts: [UInt8]..., length: Int = 32
    ) throws(SodiumError) -> SecretBytes {
        try SecretBytes(count: length) { out in digest(parts, key: key, into: out, length: length) }
    }

    /// libsodium's three calls give −1 for lengths out of bounds only, which would be our own mistake.
    private static func digest(
        _ parts: [[UInt8]], key: SecretBytes?, into out: UnsafeMutablePointer<UInt8>, length: Int
    ) {
        precondition((16...64).contains(length) && (key.map { (16...64).contains($0.count) } ?? true))
        // The state asks for 64-byte alignment: more than Swift imports, so to Swift it is an opaque pointer.
        let size = crypto_generichash_statebytes()
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        defer {
            sodium_memzero(memory, size)
            memory.deallocate()
        }
        let state = OpaquePointer(memory)
        func check(_ status: CInt) { precondition(status == 0, "BLAKE2b was given a length it does not know") }
        if let key {
            check(key.withPointer { crypto_generichash_init(state, $0, key.count, length) })
        } else {
            check(crypto_generichash_init(state, nil, 0, length))
        }
        for part in parts { check(crypto_generichash_update(state, part, UInt64(part.count))) }
        check(crypto_generichash_final(state, out, length))
    }
}

internal import CSodium

/// The key stream of ChaCha20 (RFC 8439): random bytes that the same key always gives again.
///
/// A stream has one key and the zero nonce, so **one key makes one stream**: derive a key for each use with
/// ``BLAKE2b/derive(from:_:length:)``. 256 GiB at most.
package struct ChaCha20Stream: Sendable {
    package static let keyLength = 32
    private static let blockLength = 64

    private let key: SecretBytes
    private var nextBlock: UInt32 = 0

    package init(key: SecretBytes) throws(SodiumError) {
        guard key.count == Self.keyLength else {
            throw .length(of: "a stream key", key.count, expected: Self.keyLength)
        }
        try SodiumLibrary.initialize()
        self.key = key
    }

    /// The next whole blocks of the stream.
    ///
    /// - Parameter blocks: 64 bytes each.
    package mutating func read(blocks: Int) throws(SodiumError) -> [UInt8] {
        guard let count = UInt32(exactly: blocks), count <= UInt32.max - nextBlock else {
            throw SodiumError(.wrongLength, "a ChaCha20 stream has \(UInt32.max) blocks; this read goes past its end")
        }
        var bytes = [UInt8](repeating: 0, count: blocks * Self.blockLength)
        let nonce = [UInt8](repeating: 0, count: 12)
        let start = nextBlock
        let status = key.withPointer { key in
            bytes.withUnsafeMutableBufferPointer { buffer -> CInt in
                guard let memory = buffer.baseAddress else { return 0 }
                return crypto_stream_chacha20_ietf_xor_ic(memory, memory, UInt64(buffer.count), nonce, start, key)
            }
        }
        guard status == 0 else { throw SodiumError(.library, "the ChaCha20 stream could not be read") }
        nextBlock += count
        return bytes
    }
}

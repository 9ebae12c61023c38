internal import CSodium

/// The operating system's random source, for keys, ids and nonces.
package struct SecureRandom: RandomNumberGenerator, Sendable {
    package init() throws(SodiumError) { try SodiumLibrary.initialize() }

    package mutating func next() -> UInt64 {
        var value: UInt64 = 0
        randombytes_buf(&value, MemoryLayout<UInt64>.size)
        return value
    }

    package func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let start = buffer.baseAddress { randombytes_buf(start, count) }
            initialized = count
        }
    }
}

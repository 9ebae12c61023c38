internal import CSodium

/// A secret in memory between guard pages, locked out of swap where the system allows it, written once and overwritten with zeroes when
/// the last reference goes.
///
///     let key = try SecretBytes.random(count: 32)
///     key.withUnsafeBytes { use($0) }
///
/// Up to 64 bytes, which every key is, it has a place in memory that such secrets share (`SecretShelf`); a longer one has three pages of its
/// own, read-only once made. So it is for keys, not for payloads. It prints as its length.
package final class SecretBytes: @unchecked Sendable, CustomStringConvertible {
    // Unchecked because of the raw pointer alone: the memory is written in `init` only, and `deinit` runs when no thread holds a
    // reference.
    private let memory: UnsafeMutableRawPointer
    package let count: Int
    private var isOnShelf: Bool { count <= SecretShelf.longest }

    /// - Parameter fill: writes the `count` bytes; the memory is handed to it zeroed.
    package init(
        count: Int, filledBy fill: (UnsafeMutablePointer<UInt8>) throws(SodiumError) -> Void
    ) throws(SodiumError) {
        try SodiumLibrary.initialize()
        let isShort = count <= SecretShelf.longest
        guard let memory = isShort ? SecretShelf.shared.take() : sodium_malloc(count) else {
            throw SodiumError(.outOfMemory, "no locked memory for a secret of \(count) bytes: raise `ulimit -v`")
        }
        if !isShort { sodium_memzero(memory, count) }
        do {
            try fill(memory.assumingMemoryBound(to: UInt8.self))
        } catch {
            if isShort { SecretShelf.shared.giveBack(memory) } else { sodium_free(memory) }
            throw error
        }
        // 0: protected; −1: the system cannot. Then the memory merely stays writable.
        if !isShort { _ = sodium_mprotect_readonly(memory) }
        self.memory = memory
        self.count = count
    }

    /// For secrets that came in as ordinary bytes (tests, a hash): the caller's copy lives on.
    package convenience init(copying bytes: some Collection<UInt8>) throws(SodiumError) {
        try self.init(count: bytes.count) { memory in
            _ = UnsafeMutableBufferPointer(start: memory, count: bytes.count).update(fromContentsOf: bytes)
        }
    }

    package static func random(count: Int) throws(SodiumError) -> SecretBytes {
        try SecretBytes(count: count) { memory in randombytes_buf(memory, count) }
    }

    deinit {
        // Either zeroes first, and ends the process when something wrote beyond the secret.
        if isOnShelf { SecretShelf.shared.giveBack(memory) } else { sodium_free(memory) }
    }

    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: memory, count: count))
    }

    /// A part of this secret as a secret of its own.
    package func slice(_ range: Range<Int>) throws(SodiumError) -> SecretBytes {
        guard range.lowerBound >= 0, range.upperBound <= count else {
            throw SodiumError(.wrongLength, "a secret of \(count) bytes has no bytes \(range)")
        }
        return try SecretBytes(count: range.count) { memory in
            withPointer { memory.update(from: $0 + range.lowerBound, count: range.count) }
        }
    }

    /// In constant time for equal lengths.
    package func isEqual(to other: SecretBytes) -> Bool {
        count == other.count && sodium_memcmp(memory, other.memory, count) == 0
    }

    package var description: String { "secret of \(count) bytes" }

    /// For libsodium's calls, which take `unsigned char *`.
    func withPointer<R, E: Error>(_ body: (UnsafePointer<UInt8>) throws(E) -> R) throws(E) -> R {
        try body(UnsafePointer(memory.assumingMemoryBound(to: UInt8.self)))
    }
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
package func isEqualInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && sodium_memcmp(a, b, a.count) == 0
}

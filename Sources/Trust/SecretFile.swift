package import Foundation
package import Sodium

/// Secret keys in a file: created with mode 0600, refused when others can read it.
///
///     "collafuse-key-1\n" ‖ purpose (1 byte) ‖ secrets (32 bytes each) ‖ BLAKE2b-128 check
///
/// The secrets go from the file into locked memory and back, never through an ordinary array. The check finds damage, not
/// malice: it is keyed with the secrets themselves, so it says nothing about them.
package enum SecretFile {
    /// What the secrets are for, so that one file is not taken for another.
    package enum Purpose: UInt8, Sendable, CaseIterable {
        case operatorRoot = 1
        case signer = 2
        case client = 3
        case worker = 4
        case broker = 5
        case masking = 6
        case storage = 7
        case ephemeral = 8

        /// How many secrets such a file holds.
        package var count: Int {
            switch self {
            case .operatorRoot, .signer, .broker, .masking, .storage, .ephemeral: 1
            case .client: 2
            case .worker: 3
            }
        }

        fileprivate var header: [UInt8] { Array("collafuse-key-1\n".utf8) + [rawValue] }
        fileprivate var length: Int { header.count + 32 * count + 16 }
    }

    /// Whole or not at all.
    ///
    /// - Parameter isDurable: whether it survives a loss of power; false for what nobody misses then.
    /// - Throws: `.fileExists`: a secret file is never overwritten.
    package static func write(
        _ secrets: [SecretBytes], for purpose: Purpose, to url: URL, isDurable: Bool = true
    ) throws(TrustError) {
        precondition(secrets.count == purpose.count && secrets.allSatisfy { $0.count == 32 })
        let content = try asTrustError { () throws(SodiumError) in
            try SecretBytes(count: purpose.length) { memory in
                var place = memory
                func append(_ bytes: UnsafeRawBufferPointer) {
                    UnsafeMutableRawBufferPointer(start: place, count: bytes.count).copyMemory(from: bytes)
                    place += bytes.count
                }
                purpose.header.withUnsafeBytes(append)
                for secret in secrets { secret.withUnsafeBytes(append) }
                check(secrets, purpose).withUnsafeBytes(append)
            }
        }
        try Files.create(url, isDurable: isDurable) { write in content.withUnsafeBytes(write) }
        // After the draft's name is gone.
        if isDurable { try Files.flush(url.deletingLastPathComponent()) }
    }

    /// Overwrites a file of secrets, as far as the file system lets that mean anything, and removes it. That it is not there is no error.
    package static func wipe(_ url: URL) throws(TrustError) {
        let file = open(url.path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC)
        guard file >= 0 || errno != ENOENT else { return }
        var isOverwritten = false
        if file >= 0 {
            defer { close(file) }
            var status = stat()
            if fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
                let zeros = [UInt8](repeating: 0, count: min(Int(status.st_size), maximumLength))
                isOverwritten = pwrite(file, zeros, zeros.count, 0) == zeros.count && fsync(file) == 0
            }
        }
        guard unlink(url.path) == 0 || errno == ENOENT else { throw Files.failure("removed", url) }
        // Else a loss of power might bring it back as it was.
        if !isOverwritten { try Files.flush(url.deletingLastPathComponent()) }
    }

    /// Whether it was overwritten, or was torn by a loss of power before any of it was on disk: nothing but zeros is in it.
    ///
    /// - Throws: `.fileMissing`, `.fileUnreadable`.
    package static func isWiped(_ url: URL) throws(TrustError) -> Bool {
        let (file, status) = try opened(url, O_NOFOLLOW)
        defer { close(file) }
        let length = min(Int(status.st_size), maximumLength)
        guard length > 0 else { return true }
        return try readAll(file, length, url).withUnsafeBytes { $0.allSatisfy { $0 == 0 } }
    }

    /// Of the longest of them.
    private static let maximumLength = Purpose.allCases.map(\.length).max() ?? 0

    /// - Throws: `.fileMissing`; `.fileExposed` with the command that mends it; `.malformed` for a truncated, damaged or
    ///   another kind of file; `.fileUnreadable`.
    package static func read(_ purpose: Purpose, from url: URL) throws(TrustError) -> [SecretBytes] {
        let (file, status) = try opened(url)
        defer { close(file) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw TrustError(.malformed, "\(url.path) is not a file") }
        guard status.st_mode & 0o077 == 0 else {
            throw TrustError(.fileExposed, "others can read the key file \(url.path): chmod 600 \(url.path)")
        }
        guard Int(status.st_size) == purpose.length else {
            throw TrustError(
                .malformed,
                "\(url.path) has \(status.st_size) bytes, and a \(purpose) key file has \(purpose.length): "
                    + "it is truncated, or no such file. Restore it from a copy, or make a new kit")
        }
        let content = try readAll(file, purpose.length, url)
        let header = purpose.header
        guard content.withUnsafeBytes({ $0.prefix(header.count).elementsEqual(header) }) else {
            throw TrustError(.malformed, "\(url.path) is not a \(purpose) key file")
        }
        let secrets = try asTrustError { () throws(SodiumError) in
            var secrets: [SecretBytes] = []
            for index in 0..<purpose.count {
                let start = header.count + 32 * index
                secrets.append(try content.slice(start..<start + 32))
            }
            return secrets
        }
        let stored = content.withUnsafeBytes { Array($0.suffix(16)) }
        guard isEqualInConstantTime(stored, check(secrets, purpose)) else {
            throw TrustError(.malformed, "\(url.path) is damaged: restore it from a copy, or make a new kit")
        }
        return secrets
    }

    /// To be read; the caller closes it.
    private static func opened(_ url: URL, _ flags: CInt = 0) throws(TrustError) -> (file: CInt, status: stat) {
        let file = open(url.path, O_RDONLY | O_CLOEXEC | flags)
        guard file >= 0 else {
            if errno == ENOENT { throw TrustError(.fileMissing, "the key file \(url.path) is missing") }
            throw Files.failure("read", url)
        }
        var status = stat()
        guard fstat(file, &status) == 0 else {
            let failure = Files.failure("read", url)
            close(file)
            throw failure
        }
        return (file, status)
    }

    private static func readAll(_ file: CInt, _ count: Int, _ url: URL) throws(TrustError) -> SecretBytes {
        var complete = true
        let content = try asTrustError { () throws(SodiumError) in
            try SecretBytes(count: count) { memory in
                var done = 0
                while done < count {
                    let read = Foundation.read(file, memory + done, count - done)
                    if read < 0 && errno == EINTR { continue }
                    guard read > 0 else { break }
                    done += read
                }
                complete = done == count
            }
        }
        guard complete else { throw Files.failure("read", url) }
        return content
    }

    private static func check(_ secrets: [SecretBytes], _ purpose: Purpose) -> [UInt8] {
        let each = secrets.flatMap { BLAKE2b.mac(key: $0, purpose.header, length: 16) }
        return BLAKE2b.hash(each, length: 16)
    }
}

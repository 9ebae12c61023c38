package import Foundation

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Something that one process at a time may have, by an advisory lock (`flock`) on a file beside it. The system lets go
/// of it when the process ends, however it ends.
///
///     let lock = try FileLock(url, as: "broker")
///     try FileLock.holder(of: url)    // elsewhere: process 4711, a "broker"
package final class FileLock: Sendable {
    package enum Refusal: Error, Hashable {
        /// Another process has it: its number, as far as it can be read.
        case held(by: String)
        case disk(DiskError)
    }

    /// Who has it, as far as it can be read.
    package struct Holder: Hashable, Sendable {
        /// Its number, or "?".
        package let process: String
        /// What it calls itself.
        package let role: String
    }

    private let descriptor: CInt

    /// How often it is tried, 10 ms apart: somebody's look (`holder`) lasts microseconds, and is no refusal.
    private static let tries = 100

    /// Makes the file if there is none, and writes this process's number and role into it.
    package init(_ url: URL, as role: String = "") throws(Refusal) {
        let file = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .disk(DiskError("cannot open", url, errno)) }
        var left = Self.tries
        while flock(file, LOCK_EX | LOCK_NB) != 0 {
            let reason = errno
            left -= 1
            if left > 0, reason == EWOULDBLOCK || reason == EINTR {
                usleep(10_000)
                continue
            }
            let holder = Self.read(file)
            close(file)
            guard reason == EWOULDBLOCK else { throw .disk(DiskError("cannot lock", url, reason)) }
            throw .held(by: holder.process)
        }
        let words = Array("\(getpid()) \(role)\n".utf8)
        // Whom nobody can name has it all the same.
        if ftruncate(file, 0) == 0 { _ = write(file, words, words.count) }
        descriptor = file
    }

    /// Looks without taking it from anybody and without changing the file.
    ///
    /// - Returns: nil when nobody has it, or there is no such file.
    package static func holder(of url: URL) throws(DiskError) -> Holder? {
        let file = open(url.path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw DiskError("cannot open", url, errno)
        }
        // Lets go of what it may get, too. Looks beside each other are in nobody's way.
        defer { close(file) }
        if flock(file, LOCK_SH | LOCK_NB) == 0 { return nil }
        guard errno == EWOULDBLOCK else { throw DiskError("cannot lock", url, errno) }
        return read(file)
    }

    private static func read(_ file: CInt) -> Holder {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = max(0, pread(file, &bytes, bytes.count, 0))
        let words = String(decoding: bytes[..<count], as: UTF8.self).split { $0.isWhitespace }.map(String.init)
        return Holder(process: words.first ?? "?", role: words.count > 1 ? words[1] : "")
    }

    deinit { close(descriptor) }
}

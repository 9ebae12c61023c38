package import Foundation

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Something that one process at a time may have, by an advisory lock (`flock`) on a file beside it. The system lets go
/// of it when the process ends, however it ends.
package final class FileLock: Sendable {
    package enum Refusal: Error, Hashable {
        /// Another process has it: its number, as far as it can be read.
        case held(by: String)
        case disk(DiskError)
    }

    private let descriptor: CInt

    /// Makes the file if there is none, and writes this process's number into it.
    package init(_ url: URL) throws(Refusal) {
        let file = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .disk(DiskError("cannot open", url, errno)) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            var holder = [UInt8](repeating: 0, count: 32)
            let count = max(0, read(file, &holder, holder.count))
            close(file)
            guard reason == EWOULDBLOCK else { throw .disk(DiskError("cannot lock", url, reason)) }
            let process = String(decoding: holder[..<count], as: UTF8.self).trimmingCharacters(
                in: .whitespacesAndNewlines)
            throw .held(by: process.isEmpty ? "?" : process)
        }
        let process = Array("\(getpid())\n".utf8)
        // For people only, so a failure to write it does no harm.
        if ftruncate(file, 0) == 0 { _ = write(file, process, process.count) }
        descriptor = file
    }

    deinit { close(descriptor) }
}

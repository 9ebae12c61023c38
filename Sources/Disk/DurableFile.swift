package import Foundation

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Writing that is all or nothing, and durable on return: temporary name → fsync → rename → fsync of the folder.
///
///     try DurableFile.write(bytes, to: folder.appending(path: "0001.sealed"))
///
/// A crash leaves the old file, or the new one, and perhaps a temporary name that starts with a dot; never a torn file. Where a loss of
/// power does no harm, `isDurable: false` saves the flushes.
package enum DurableFile {
    /// - Parameters:
    ///   - permissions: of the new file; secrets take 0o600.
    ///   - isDurable: false for what can be made again: the file is whole whenever a process ends, and a loss of power may tear it.
    /// - Throws: `DiskError`; the file under its own name is then what it was before.
    package static func write(
        _ bytes: some ContiguousBytes, to url: URL, permissions: mode_t = 0o600, isDurable: Bool = true
    ) throws(DiskError) {
        let folder = url.deletingLastPathComponent()
        let temporary = folder.appending(path: ".\(url.lastPathComponent).\(getpid()).\(UInt64.random(in: 0 ... .max))")
        let descriptor = open(temporary.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, permissions)
        guard descriptor >= 0 else { throw DiskError("cannot create a file in", folder, errno) }
        do throws(DiskError) {
            defer { close(descriptor) }
            try writeAll(bytes, descriptor, url)
            guard !isDurable || fsync(descriptor) == 0 else { throw DiskError("cannot flush", url, errno) }
        } catch {
            unlink(temporary.path)
            throw error
        }
        do throws(DiskError) { try rename(temporary, to: url, isDurable: isDurable) } catch {
            unlink(temporary.path)
            throw error
        }
    }

    /// Renames and makes the new name durable. Also for folders that were filled under a temporary name.
    package static func rename(_ from: URL, to url: URL) throws(DiskError) {
        try rename(from, to: url, isDurable: true)
    }

    private static func rename(_ from: URL, to url: URL, isDurable: Bool) throws(DiskError) {
        guard Foundation.rename(from.path, url.path) == 0 else { throw DiskError("cannot rename to", url, errno) }
        if isDurable { try flushFolder(url.deletingLastPathComponent()) }
    }

    /// Removes a file; that it is not there is no error.
    ///
    /// - Parameter isDurable: whether it is gone for good on return; else a loss of power may bring it back.
    package static func remove(_ url: URL, isDurable: Bool = true) throws(DiskError) {
        guard unlink(url.path) == 0 || errno == ENOENT else { throw DiskError("cannot remove", url, errno) }
        if isDurable { try flushFolder(url.deletingLastPathComponent()) }
    }

    /// Makes files of one folder durable that were written without.
    package static func flush(_ files: [URL]) throws(DiskError) {
        for file in files {
            let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw DiskError("cannot open", file, errno) }
            defer { close(descriptor) }
            guard fsync(descriptor) == 0 else { throw DiskError("cannot flush", file, errno) }
        }
        if let folder = files.first?.deletingLastPathComponent() { try flushFolder(folder) }
    }

    /// Makes the names in a folder durable.
    package static func flushFolder(_ folder: URL) throws(DiskError) {
        let descriptor = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DiskError("cannot open the folder", folder, errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw DiskError("cannot flush the folder", folder, errno) }
    }

    private static func writeAll(_ bytes: some ContiguousBytes, _ descriptor: Int32, _ url: URL) throws(DiskError) {
        let failure: Int32 = bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let written = Foundation.write(
                    descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress!, rest.count)
                if written < 0 {
                    if errno == EINTR { continue }
                    return errno
                }
                rest = rest.dropFirst(written)
            }
            return 0
        }
        guard failure == 0 else { throw DiskError("cannot write", url, failure) }
    }
}

/// The system refused to write; the message names the file and the reason.
package struct DiskError: Error, Hashable, CustomStringConvertible {
    /// `errno`
    package let code: Int32
    package let message: String

    init(_ what: String, _ url: URL, _ code: Int32) {
        self.code = code
        self.message = "\(what) \(url.path): \(String(cString: strerror(code)))"
    }

    init(_ what: String, _ url: URL, _ error: any Error) {
        self.init(what, url, error.systemCode ?? EIO)
    }

    package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }

    package var description: String { message }
}

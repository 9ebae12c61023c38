internal import Foundation

/// A client's home is held by one process: two would each believe their ledger.
///
/// An advisory lock (`flock`) on `lock`, which the system lets go when the process ends, however it ends.
final class HomeLock {
    private let file: CInt

    /// - Throws: `.storage`, naming the process that holds the home.
    init(_ home: URL) throws(ClientError) {
        do {
            try FileManager.default.createDirectory(
                at: home, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw ClientError(.storage, "the home \(home.path) cannot be made: \(error.localizedDescription)")
        }
        let path = home.appending(path: "lock").path
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw ClientError(.storage, "\(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            var holder = [UInt8](repeating: 0, count: 32)
            let count = max(0, read(file, &holder, holder.count))
            close(file)
            guard reason == EWOULDBLOCK else {
                throw ClientError(.storage, "\(path) cannot be locked: \(String(cString: strerror(reason)))")
            }
            let process = String(decoding: holder[..<count], as: UTF8.self).trimmingCharacters(
                in: .whitespacesAndNewlines)
            throw ClientError(
                .storage,
                "the home \(home.path) is in use by process \(process.isEmpty ? "?" : process): "
                    + "wait for it to end, or give this client a home of its own")
        }
        let process = Array("\(getpid())\n".utf8)
        // For people only, so a failure to write it does no harm.
        if ftruncate(file, 0) == 0 { _ = write(file, process, process.count) }
        self.file = file
    }

    deinit { close(file) }
}

internal import Disk
internal import Foundation

/// A client's home is held by one process: two would each believe their ledger.
final class HomeLock {
    private let lock: FileLock

    /// - Throws: `.storage`, naming the process that holds the home.
    init(_ home: URL) throws(ClientError) {
        do {
            try FileManager.default.createDirectory(
                at: home, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw ClientError(.storage, "the home \(home.path) cannot be made: \(error.localizedDescription)")
        }
        do throws(FileLock.Refusal) { lock = try FileLock(home.appending(path: "lock")) } catch {
            switch error {
            case .held(let process):
                throw ClientError(
                    .storage,
                    "the home \(home.path) is in use by process \(process): "
                        + "wait for it to end, or give this client a home of its own")
            case .disk(let error): throw ClientError(.storage, error.message)
            }
        }
    }
}

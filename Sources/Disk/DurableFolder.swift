internal import CDisk
package import Foundation

/// A folder of files that is there whole or not at all, and survives a loss of power once the call has returned.
package enum DurableFolder {
    /// - Parameters:
    ///   - replacing: whether a folder of this name may be replaced. Old and new trade their names at once, so a reader finds
    ///     one of them at any time; on a file system that cannot do this (NFS), the name is missing for a moment.
    ///   - isPrivate: whether only the owner may read it.
    /// - Throws: `DiskError`; a folder under this name is then what it was before.
    package static func write(
        _ files: [(name: String, content: Data)], to folder: URL, replacing: Bool = false, isPrivate: Bool = false
    ) throws(DiskError) {
        let manager = FileManager.default, parent = folder.deletingLastPathComponent()
        let exists = manager.fileExists(atPath: folder.path)
        guard replacing || !exists else { throw DiskError("there is already a", folder, EEXIST) }
        // Beside the target, so that the rename stays within one file system; hidden, so that nobody takes it for the folder.
        let draft = parent.appending(path: ".\(folder.lastPathComponent).\(UUID().uuidString)")
        do throws(DiskError) {
            do {
                try manager.createDirectory(
                    at: draft, withIntermediateDirectories: true,
                    attributes: isPrivate ? [.posixPermissions: 0o700] : nil)
            } catch {
                throw DiskError("cannot make the folder", draft, error)
            }
            for file in files {
                try DurableFile.write(
                    file.content, to: draft.appending(path: file.name), permissions: isPrivate ? 0o600 : 0o644)
            }
            if exists { try replace(folder, by: draft) } else { try DurableFile.rename(draft, to: folder) }
        } catch {
            try? manager.removeItem(at: draft)
            throw error
        }
        // What was replaced has the draft's name now.
        if exists { try? manager.removeItem(at: draft) }
    }

    private static func replace(_ folder: URL, by draft: URL) throws(DiskError) {
        switch cdisk_exchange(draft.path, folder.path) {
        case 0: try DurableFile.flushFolder(folder.deletingLastPathComponent())
        case EINVAL, ENOSYS, ENOTSUP:
            let old = folder.deletingLastPathComponent().appending(path: ".\(folder.lastPathComponent).old")
            try? FileManager.default.removeItem(at: old)
            try DurableFile.rename(folder, to: old)
            try DurableFile.rename(draft, to: folder)
            try? FileManager.default.removeItem(at: old)
        case let reason: throw DiskError("cannot replace", folder, reason)
        }
    }
}

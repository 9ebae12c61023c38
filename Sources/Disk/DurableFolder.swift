package import Foundation

/// A folder of files that is there whole or not at all, and survives a loss of power once the call has returned.
package enum DurableFolder {
    /// - Parameter replacing: whether a folder of this name may be replaced. Between two renames it is then missing for a moment.
    /// - Throws: `DiskError`; a folder under this name is then what it was before.
    package static func write(
        _ files: [(name: String, content: Data)], to folder: URL, replacing: Bool = false
    ) throws(DiskError) {
        let manager = FileManager.default, parent = folder.deletingLastPathComponent()
        let exists = manager.fileExists(atPath: folder.path)
        guard replacing || !exists else { throw DiskError("there is already a", folder, EEXIST) }
        // Beside the target, so that the rename stays within one file system; hidden, so that nobody takes it for the folder.
        let draft = parent.appending(path: ".\(folder.lastPathComponent).\(UUID().uuidString)")
        do throws(DiskError) {
            do { try manager.createDirectory(at: draft, withIntermediateDirectories: true) } catch {
                throw DiskError("cannot make the folder", draft, error)
            }
            for file in files {
                try DurableFile.write(file.content, to: draft.appending(path: file.name), permissions: 0o644)
            }
            if exists {
                let old = parent.appending(path: ".\(folder.lastPathComponent).old.\(UUID().uuidString)")
                try DurableFile.rename(folder, to: old)
                try DurableFile.rename(draft, to: folder)
                try? manager.removeItem(at: old)
            } else {
                try DurableFile.rename(draft, to: folder)
            }
        } catch {
            try? manager.removeItem(at: draft)
            throw error
        }
    }
}

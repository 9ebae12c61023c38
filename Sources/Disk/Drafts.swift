package import Foundation

/// What a process that was killed in the middle of a write left beside its files, under names that begin with a dot: of
/// `DurableFile`, of `DurableFolder`, of secrets that were to be linked to their names.
package enum Drafts {
    /// Removes them from a folder that no other process writes to now. That there is no such folder is no error.
    package static func remove(in folder: URL) throws(DiskError) {
        let manager = FileManager.default
        guard let names = try? manager.contentsOfDirectory(atPath: folder.path) else { return }
        let drafts = names.filter(isDraft)
        guard !drafts.isEmpty else { return }
        for name in drafts {
            let draft = folder.appending(path: name)
            do { try manager.removeItem(at: draft) } catch { throw DiskError("cannot remove", draft, error) }
        }
        try DurableFile.flushFolder(folder)
    }

    /// `.NAME.PROCESS.NUMBER`, `.NAME.UUID` or `.NAME.UUID.new`; other names with a dot are somebody else's.
    static func isDraft(_ name: String) -> Bool {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)[...]
        guard parts.popFirst() == "" else { return false }
        if parts.last == "new" { parts = parts.dropLast() }
        guard parts.count >= 2, let last = parts.last else { return false }
        if UUID(uuidString: String(last)) != nil { return true }
        return parts.count >= 3 && UInt64(last) != nil && pid_t(parts[parts.endIndex - 2]) != nil
    }
}

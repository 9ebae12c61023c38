internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Writes a folder of files so that after a crash or power loss there is all of it or none.
enum DurableFolder {
    static func write(_ files: [(name: String, content: Data)], to folder: URL, replacing: Bool) throws {
        let manager = FileManager.default, parent = folder.deletingLastPathComponent()
        let exists = manager.fileExists(atPath: folder.path)
        guard replacing || !exists else { throw CocoaError(.fileWriteFileExists) }
        try manager.createDirectory(at: parent, withIntermediateDirectories: true)
        // Beside the target, so that the rename stays within one file system; hidden, so that nobody lists it as a model.
        let draft = parent.appending(path: ".\(folder.lastPathComponent).\(UUID().uuidString)")
        do {
            try manager.createDirectory(at: draft, withIntermediateDirectories: false)
            for file in files {
                let url = draft.appending(path: file.name)
                try file.content.write(to: url)
                try sync(url)
            }
            try sync(draft)
            if exists {
                let old = parent.appending(path: ".\(folder.lastPathComponent).old.\(UUID().uuidString)")
                try manager.moveItem(at: folder, to: old)
                try manager.moveItem(at: draft, to: folder)
                try? manager.removeItem(at: old)
            } else {
                try manager.moveItem(at: draft, to: folder)
            }
            try sync(parent)
        } catch {
            try? manager.removeItem(at: draft)
            throw error
        }
    }

    private static func sync(_ url: URL) throws {
        let descriptor = open(url.path, O_RDONLY)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }
}

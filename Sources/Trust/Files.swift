internal import Disk
internal import Foundation

/// The little that this room asks of a file system: whole files, written so that a crash leaves the old or the new one.
enum Files {
    static func read(_ url: URL, atMost limit: Int = SignedStatement.maximumLength) throws(TrustError) -> [UInt8] {
        do {
            let size = try url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
            guard size <= limit else {
                throw TrustError(.malformed, "\(url.path) has \(size) bytes: that is no such file")
            }
            return Array(try Data(contentsOf: url))
        } catch let error as TrustError {
            throw error
        } catch CocoaError.fileReadNoSuchFile, CocoaError.fileNoSuchFile {
            throw TrustError(.fileMissing, "\(url.path) is missing")
        } catch {
            throw TrustError(.fileUnreadable, "\(url.path) cannot be read: \(error.localizedDescription)")
        }
    }

    static func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

    static func makeFolder(_ url: URL, mode: Int = 0o755) throws(TrustError) {
        do {
            try FileManager.default.createDirectory(
                at: url, withIntermediateDirectories: true, attributes: [.posixPermissions: mode])
        } catch {
            throw TrustError(.fileUnreadable, "the folder \(url.path) cannot be made: \(error.localizedDescription)")
        }
    }

    /// Names in a folder, sorted; none when there is no such folder.
    static func names(in folder: URL, suffix: String) -> [String] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return all.filter { $0.hasSuffix(suffix) && !$0.hasPrefix(".") }.sorted()
    }

    /// Replaces a public file.
    static func replace(_ url: URL, with bytes: [UInt8]) throws(TrustError) {
        do { try DurableFile.write(bytes, to: url, permissions: 0o644) } catch {
            throw TrustError(.fileUnreadable, error.message)
        }
    }

    /// A secret file that does not exist yet: filled under another name, then linked to its own, which overwrites nothing.
    static func create(
        _ url: URL, isDurable: Bool, _ bytes: ((UnsafeRawBufferPointer) -> Bool) -> Bool
    ) throws(TrustError) {
        let temporary = url.deletingLastPathComponent().appending(path: ".\(url.lastPathComponent).\(UUID()).new")
        let file = open(temporary.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("written", url) }
        defer {
            close(file)
            unlink(temporary.path)
        }
        let written = bytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = write(file, buffer.baseAddress.map { $0 + done }, buffer.count - done)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return false }
                done += count
            }
            return true
        }
        guard written, !isDurable || fsync(file) == 0 else { throw failure("written", url) }
        guard link(temporary.path, url.path) == 0 else {
            if errno == EEXIST { throw TrustError(.fileExists, "\(url.path) is there already: move it away first") }
            throw failure("written", url)
        }
    }

    /// Makes the names in a folder durable.
    static func flush(_ folder: URL) throws(TrustError) {
        do { try DurableFile.flushFolder(folder) } catch { throw TrustError(.fileUnreadable, error.message) }
    }

    static func failure(_ verb: String, _ url: URL) -> TrustError {
        TrustError(.fileUnreadable, "\(url.path) cannot be \(verb): \(String(cString: strerror(errno)))")
    }
}

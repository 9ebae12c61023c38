internal import Disk
internal import Foundation
internal import Sodium
internal import Wire

/// The ledger's file: batches of lines, each closed by a line with a hash over it and over all batches before.
///
///     collafuse-ledger-1 FINGERPRINT
///     release …
///     release …
///     commit HASH
///
/// A batch counts once its commit line is on disk. What follows the last commit was cut off by a crash before anything was
/// sealed, and is dropped at the next start; a batch that is damaged *before* a later one is not dropped but reported.
final class LedgerFile {
    private let url: URL
    private let file: CInt
    /// Of the last commit; the header's at first.
    private var hash: [UInt8]
    private var length: Int
    /// After a failed fsync nobody knows what is on disk, so nothing may be built on it.
    private var isBroken = false

    /// What is in a ledger's file.
    struct Content {
        let lines: [LedgerLine]
        /// Of the last commit; the header's where there is none.
        let hash: [UInt8]
        /// Bytes up to the end of the last commit.
        let good: Int
        let length: Int
    }

    /// - Returns: the file and the lines of all its batches.
    /// - Throws: `.storage`
    static func open(_ url: URL, fingerprint: [UInt8]) throws(ClientError) -> (file: LedgerFile, lines: [LedgerLine]) {
        if !FileManager.default.fileExists(atPath: url.path) {
            do { try DurableFile.write(Array(header(fingerprint).utf8), to: url) } catch {
                throw ClientError(.storage, error.message)
            }
        }
        let content = try read(url, fingerprint: fingerprint)
        let file = Foundation.open(url.path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("opened", url) }
        let ledger = LedgerFile(url: url, file: file, hash: content.hash, length: content.good)
        if content.good < content.length { try ledger.truncate() }
        return (ledger, content.lines)
    }

    private static func header(_ fingerprint: [UInt8]) -> String { "collafuse-ledger-1 \(fingerprint.hex)\n" }

    /// Changes nothing.
    ///
    /// - Throws: `.storage`
    static func read(_ url: URL, fingerprint: [UInt8]) throws(ClientError) -> Content {
        let header = header(fingerprint)
        let content: [UInt8]
        do { content = Array(try Data(contentsOf: url)) } catch {
            throw ClientError(.storage, "the ledger \(url.path) cannot be read: \(error.localizedDescription)")
        }
        guard content.starts(with: header.utf8) else {
            throw ClientError(
                .storage, "\(url.path) is not the ledger of this home's masking key: restore both from one copy")
        }
        var lines: [LedgerLine] = []
        var hash = BLAKE2b.hash(Array(header.utf8), length: 16)
        var good = header.utf8.count
        var batchStart = good
        var lineStart = good
        var batch: [LedgerLine] = []
        // A power cut may leave holes in the last batch, even under its commit line.
        var hasHole = false
        var isTorn = false
        while let end = content[lineStart...].firstIndex(of: 10) {
            let text = String(decoding: content[lineStart..<end], as: UTF8.self)
            let next = end + 1
            if text.hasPrefix("commit ") {
                let expected = BLAKE2b.hash(hash, Array(content[batchStart..<lineStart]), length: 16)
                if hasHole && !isTorn {
                    isTorn = true
                    lineStart = next
                    continue
                }
                guard !isTorn, text == "commit \(expected.hex)" else {
                    throw ClientError(
                        .storage,
                        "the ledger \(url.path) is damaged after byte \(good): restore it from a copy. "
                            + "Without it this home does not know what it gave away")
                }
                lines += batch
                batch = []
                hash = expected
                good = next
                batchStart = next
            } else if let line = LedgerLine(text) {
                batch.append(line)
            } else {
                hasHole = true
            }
            lineStart = next
        }
        return Content(lines: lines, hash: hash, good: good, length: content.count)
    }

    private init(url: URL, file: CInt, hash: [UInt8], length: Int) {
        self.url = url
        self.file = file
        self.hash = hash
        self.length = length
    }

    deinit { close(file) }

    /// Appends a batch; on return it is on disk.
    ///
    /// - Throws: `.storage`; the batch then does not count.
    func append(_ lines: [LedgerLine]) throws(ClientError) {
        guard !isBroken else {
            throw ClientError(
                .storage, "the ledger \(url.path) could not be flushed before: check the disk and start again")
        }
        let body = Array(lines.map { $0.text + "\n" }.joined().utf8)
        let next = BLAKE2b.hash(hash, body, length: 16)
        let bytes = body + Array("commit \(next.hex)\n".utf8)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                pwrite(file, buffer.baseAddress.map { $0 + done }, bytes.count - done, off_t(length + done))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let error = Self.failure("written", url)
                try truncate()
                throw error
            }
            done += count
        }
        guard fsync(file) == 0 else {
            isBroken = true
            throw Self.failure("flushed", url)
        }
        hash = next
        length += bytes.count
    }

    private func truncate() throws(ClientError) {
        guard ftruncate(file, off_t(length)) == 0, fsync(file) == 0 else {
            isBroken = true
            throw Self.failure("mended", url)
        }
    }

    private static func failure(_ verb: String, _ url: URL) -> ClientError {
        ClientError(.storage, "the ledger \(url.path) cannot be \(verb): \(String(cString: strerror(errno)))")
    }
}

internal import Disk
internal import Foundation
internal import Sodium
internal import Trust
internal import Wire

/// Jobs under way, each with the very bytes that it consists of, until the broker has forgotten it.
///
///     spool/JOB-GENERATION.release   an entry: what is sent of private images
///     spool/JOB-GENERATION.request   an entry: what asks for samples, and gives nothing away
///     spool/JOB-GENERATION.key       mode 0600; opens the entry's result
///     results/JOB                    the opened result, once it is surfaced
///
/// The key is there before its entry, and overwritten before the entry goes: an entry without its key is over, and a key without its
/// entry was never used. Sealing is deterministic: an entry gives the same sealed bytes at every try.
///
/// A release is on disk when `add` returns. A request can be made again, and is made so often that flushing it would be most of what a
/// client does: a loss of power may take it, until its result comes; then both are flushed.
final class Spool {
    struct Entry: Sendable {
        let envelope: Envelope
        /// X25519, 32 bytes.
        let poolKey: [UInt8]
        /// Whether it was made from private images.
        let isRelease: Bool
        /// Of a publish job.
        let publications: [PublicationID]

        fileprivate var name: SpoolName { SpoolName(envelope, isRelease ? .release : .request) }
    }

    private let folder: URL
    private let results: URL
    private let steps: StorageSteps
    private(set) var entries: [JobID: Entry] = [:]
    /// The publications of all entries, and how many entries hold each: two do, for a moment, when a job is named anew.
    private var publications: [PublicationID: Int] = [:]

    /// - Throws: `.storage` for an entry that is damaged, and for what is no file of a spool.
    init(in home: URL, steps: StorageSteps) throws(ClientError) {
        folder = home.appending(path: "spool")
        results = home.appending(path: "results")
        self.steps = steps
        for folder in [folder, results] {
            do {
                try FileManager.default.createDirectory(
                    at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                try Drafts.remove(in: folder)
                try DurableFile.flushFolder(home)
            } catch {
                throw ClientError(.storage, "the folder \(folder.path) cannot be made ready: \(error.words)")
            }
        }
        var keys: Set<SpoolName> = []
        var names: [SpoolName] = []
        for file in try Self.names(folder) where !file.hasPrefix(".") {
            guard let name = SpoolName(file) else { throw Self.isStrange(folder.appending(path: file)) }
            if name.part == .key { keys.insert(name) } else { names.append(name) }
        }
        for name in names {
            guard let entry = try read(name) else {
                try removeFiles(of: name)
                continue
            }
            guard let other = entries.updateValue(entry, forKey: name.job) else { continue }
            // A crash between the new generation and the end of the old one.
            let (older, newer) =
                other.envelope.generation < entry.envelope.generation ? (other, entry) : (entry, other)
            entries[name.job] = newer
            try removeFiles(of: older.name)
        }
        for key in keys.subtracting(entries.values.map(\.name.key)) { try wipe(key) }
        for entry in entries.values { count(entry, 1) }
    }

    /// Whether anything was ever spooled here: asked before the ledger is opened.
    static func exists(in home: URL) -> Bool {
        FileManager.default.fileExists(atPath: home.appending(path: "spool").path)
    }

    // MARK: entries

    /// Adds a job, or the next generation of one that is there. On return a release is on disk.
    func add(
        _ envelope: Envelope, body: [UInt8], isRelease: Bool, ephemeral: X25519KeyPair, poolKey: [UInt8]
    ) throws(ClientError) {
        let entry = Entry(
            envelope: envelope, poolKey: poolKey, isRelease: isRelease,
            publications: Self.publications(envelope, body))
        let older = entries[envelope.job]
        do {
            // Of a try that failed.
            try removeFiles(of: entry.name)
            try steps.reach(.spoolFill)
            try SecretFile.write(
                [ephemeral.secret], for: .ephemeral, to: place(entry.name.key), isDurable: isRelease)
            try steps.reach(.spoolFilled)
            let content = SpoolContent(envelope: envelope.bytes, poolKey: poolKey, body: body)
            try DurableFile.write(content.bytes, to: place(entry.name), isDurable: isRelease)
            try steps.reach(.spoolNamed)
        } catch let error as ClientError {
            throw error
        } catch {
            // Else the next opening would find it.
            try? removeFiles(of: entry.name)
            throw ClientError(.storage, "job \(envelope.job.short) cannot be kept in the spool: \(error.words)")
        }
        entries[envelope.job] = entry
        count(entry, 1)
        if let older { count(older, -1) }
        if let older, older.envelope.generation != envelope.generation { try removeFiles(of: older.name) }
    }

    func holds(_ publication: PublicationID) -> Bool { publications[publication] != nil }

    private func count(_ entry: Entry, _ step: Int) {
        for publication in entry.publications {
            let count = publications[publication, default: 0] + step
            publications[publication] = count > 0 ? count : nil
        }
    }

    func entry(_ job: JobID) throws(ClientError) -> Entry {
        guard let entry = entries[job] else {
            throw ClientError(.storage, "job \(job.short) is not in the spool of this home")
        }
        return entry
    }

    func body(_ job: JobID) throws(ClientError) -> [UInt8] {
        let name = try entry(job).name
        guard let content = try content(name) else { throw isDamaged(name) }
        return content.body
    }

    func ephemeral(_ job: JobID) throws(ClientError) -> X25519KeyPair {
        let url = place(try entry(job).name.key)
        do {
            return try X25519KeyPair(secret: SecretFile.read(.ephemeral, from: url)[0])
        } catch {
            throw ClientError(.storage, "\(error)")
        }
    }

    /// Forgets a job: its secret is overwritten, then all of it is removed.
    func wipe(_ job: JobID) throws(ClientError) {
        let entry = try entry(job)
        try steps.reach(.wipe)
        entries[job] = nil
        count(entry, -1)
        try removeFiles(of: entry.name)
        try steps.reach(.wiped)
    }

    // MARK: results

    /// Surfaces a result under its job's id by one rename. On return it and its entry are on disk.
    func surface(_ job: JobID, _ result: [UInt8]) throws(ClientError) {
        let entry = try entry(job)
        try steps.reach(.surface)
        do {
            // Without its request a result would be nobody's.
            if !entry.isRelease { try DurableFile.flush([place(entry.name.key), place(entry.name)]) }
            try DurableFile.write(result, to: results.appending(path: "\(job)"))
        } catch {
            throw ClientError(.storage, "the result of job \(job.short) cannot be kept: \(error.message)")
        }
        try steps.reach(.surfaced)
    }

    /// - Returns: nil when none was surfaced.
    func result(_ job: JobID) throws(ClientError) -> [UInt8]? {
        let url = results.appending(path: "\(job)")
        guard FileManager.default.fileExists(atPath: url.path) else { return nil }
        do { return Array(try Data(contentsOf: url)) } catch {
            throw ClientError(.storage, "the result \(url.path) cannot be read: \(error.localizedDescription)")
        }
    }

    /// The jobs that have a result here, whether or not their entries are still there.
    func resultNames() throws(ClientError) -> [JobID] {
        try Self.names(results).compactMap { [UInt8](hex: $0).flatMap { JobID($0) } }
    }

    /// Removes a result whose job is forgotten. If it is there again after a loss of power, the next opening removes it.
    func removeResult(_ job: JobID) throws(ClientError) { try remove(results.appending(path: "\(job)")) }

    // MARK: files

    private func place(_ name: SpoolName) -> URL { folder.appending(path: "\(name)") }

    private func isDamaged(_ name: SpoolName) -> ClientError {
        ClientError(
            .storage,
            "\(place(name).path) or its key is damaged: remove \(name) and \(name.key), and publish again")
    }

    private static func isStrange(_ file: URL) -> ClientError {
        ClientError(
            .storage,
            "\(file.path) is no file of this version's spool: move it away. If an earlier version left it, publish again; what it "
                + "publishes is not charged twice")
    }

    /// - Returns: nil for bytes that are not what was written.
    private func content(_ name: SpoolName) throws(ClientError) -> SpoolContent? {
        do { return SpoolContent(bytes: Array(try Data(contentsOf: place(name)))) } catch {
            throw ClientError(.storage, "\(place(name).path) cannot be read: \(error.words)")
        }
    }

    /// - Returns: nil for an entry that is over, and for a request that a loss of power tore.
    private func read(_ name: SpoolName) throws(ClientError) -> Entry? {
        guard try hasKey(name) else { return nil }
        guard let content = try content(name) else {
            guard name.part == .request else { throw isDamaged(name) }
            return nil
        }
        guard let envelope = try? Envelope(bytes: content.envelope), SpoolName(envelope, name.part) == name else {
            throw isDamaged(name)
        }
        return Entry(
            envelope: envelope, poolKey: content.poolKey, isRelease: name.part == .release,
            publications: Self.publications(envelope, content.body))
    }

    private func hasKey(_ name: SpoolName) throws(ClientError) -> Bool {
        let key = place(name.key)
        do {
            guard try !SecretFile.isWiped(key) else { return false }
            _ = try SecretFile.read(.ephemeral, from: key)
            return true
        } catch  where error.code == .fileMissing {
            return false
        } catch  where error.code == .malformed {
            guard name.part == .request else { throw isDamaged(name) }
            return false
        } catch {
            throw ClientError(.storage, "\(error)")
        }
    }

    private static func publications(_ envelope: Envelope, _ body: [UInt8]) -> [PublicationID] {
        guard envelope.kind == .publish, let payload = try? WirePayload(decoding: body, as: "payload") else {
            return []
        }
        return payload.publishRequest.publicationID.compactMap { PublicationID($0) }
    }

    private static func names(_ folder: URL) throws(ClientError) -> [String] {
        do { return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() } catch {
            throw ClientError(.storage, "the folder \(folder.path) cannot be read: \(error.localizedDescription)")
        }
    }

    /// The key first: whatever comes between, the entry is over.
    private func removeFiles(of name: SpoolName) throws(ClientError) {
        try wipe(name.key)
        try remove(place(name))
    }

    private func wipe(_ key: SpoolName) throws(ClientError) {
        do { try SecretFile.wipe(place(key)) } catch { throw ClientError(.storage, "\(error)") }
    }

    /// Not flushed: what is there again after a loss of power is removed again.
    private func remove(_ url: URL) throws(ClientError) {
        do { try DurableFile.remove(url, isDurable: false) } catch { throw ClientError(.storage, error.message) }
    }
}

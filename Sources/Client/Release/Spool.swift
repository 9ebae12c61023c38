internal import Disk
internal import Foundation
internal import Sodium
internal import Trust
internal import Wire

/// Jobs under way, each with the very bytes that it consists of, until the broker has forgotten it.
///
///     spool/JOB-GENERATION/envelope       as it is sent
///     spool/JOB-GENERATION/body           BLAKE2b-256 ‖ the payload, before it is sealed
///     spool/JOB-GENERATION/pool.pub       the pool key that it is sealed to
///     spool/JOB-GENERATION/ephemeral.key  mode 0600; opens the result
///     results/JOB                         the opened result, once it is surfaced
///
/// An entry is filled under a name with a dot and renamed when all of it is on disk, so there are whole entries only. Sealing
/// is deterministic: an entry gives the same sealed bytes at every try.
final class Spool {
    struct Entry: Sendable {
        let envelope: Envelope
        /// X25519, 32 bytes.
        let poolKey: [UInt8]
        /// Of a publish job.
        let publications: [PublicationID]
    }

    private let folder: URL
    private let results: URL
    private let steps: StorageSteps
    private(set) var entries: [JobID: Entry] = [:]
    /// The publications of all entries, and how many entries hold each: two do, for a moment, when a job is named anew.
    private var publications: [PublicationID: Int] = [:]

    /// - Throws: `.storage` for an entry that is damaged.
    init(in home: URL, steps: StorageSteps) throws(ClientError) {
        folder = home.appending(path: "spool")
        results = home.appending(path: "results")
        self.steps = steps
        for folder in [folder, results] {
            do {
                try FileManager.default.createDirectory(
                    at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            } catch {
                throw ClientError(.storage, "the folder \(folder.path) cannot be made: \(error.localizedDescription)")
            }
        }
        // Left by a crash, and never used.
        for place in [folder, results] {
            for name in try Self.names(place) where name.hasPrefix(".") { try remove(place.appending(path: name)) }
        }
        for name in try Self.names(folder) {
            let entry = try read(folder.appending(path: name))
            if let other = entries[entry.envelope.job] {
                // A crash between the new generation and the end of the old one.
                let older = other.envelope.generation < entry.envelope.generation ? other : entry
                try remove(place(older.envelope))
                guard older.envelope.generation == other.envelope.generation else { continue }
            }
            entries[entry.envelope.job] = entry
        }
        for entry in entries.values { count(entry, 1) }
    }

    /// Whether anything was ever spooled here: asked before the ledger is opened.
    static func exists(in home: URL) -> Bool {
        FileManager.default.fileExists(atPath: home.appending(path: "spool").path)
    }

    // MARK: entries

    /// Adds a job, or the next generation of one that is there. On return all of it is on disk.
    func add(
        _ envelope: Envelope, body: [UInt8], ephemeral: X25519KeyPair, poolKey: [UInt8]
    ) throws(ClientError) {
        let temporary = folder.appending(path: ".\(envelope.job)-\(envelope.generation)")
        let older = entries[envelope.job]
        do {
            try remove(temporary)
            try FileManager.default.createDirectory(
                at: temporary, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
            try steps.reach(.spoolFill)
            try DurableFile.write(envelope.bytes, to: temporary.appending(path: "envelope"))
            try DurableFile.write(Digest(of: body).bytes + body, to: temporary.appending(path: "body"))
            try DurableFile.write(poolKey, to: temporary.appending(path: "pool.pub"))
            try SecretFile.write([ephemeral.secret], for: .ephemeral, to: temporary.appending(path: "ephemeral.key"))
            try steps.reach(.spoolFilled)
            try DurableFile.rename(temporary, to: place(envelope))
            try steps.reach(.spoolNamed)
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError(.storage, "job \(envelope.job.short) cannot be kept in the spool: \(error.words)")
        }
        let entry = Entry(envelope: envelope, poolKey: poolKey, publications: Self.publications(envelope, body))
        entries[envelope.job] = entry
        count(entry, 1)
        if let older { count(older, -1) }
        if let older, older.envelope.generation != envelope.generation { try remove(place(older.envelope)) }
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
        try Self.body(in: place(entry(job).envelope))
    }

    func ephemeral(_ job: JobID) throws(ClientError) -> X25519KeyPair {
        let url = try place(entry(job).envelope).appending(path: "ephemeral.key")
        do {
            return try X25519KeyPair(secret: SecretFile.read(.ephemeral, from: url)[0])
        } catch {
            throw ClientError(.storage, "\(error)")
        }
    }

    /// Forgets a job: its secrets are overwritten, then all of it is removed.
    func wipe(_ job: JobID) throws(ClientError) {
        let entry = try entry(job)
        let place = place(entry.envelope)
        let doomed = folder.appending(path: ".\(entry.envelope.job)-\(entry.envelope.generation)-done")
        do {
            try steps.reach(.wipe)
            try DurableFile.rename(place, to: doomed)
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError(.storage, "\(error)")
        }
        entries[job] = nil
        count(entry, -1)
        try remove(doomed)
        try steps.reach(.wiped)
    }

    // MARK: results

    /// Surfaces a result under its job's id by one rename.
    func surface(_ job: JobID, _ result: [UInt8]) throws(ClientError) {
        try steps.reach(.surface)
        do { try DurableFile.write(result, to: results.appending(path: "\(job)")) } catch {
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

    func removeResult(_ job: JobID) throws(ClientError) {
        do { try DurableFile.remove(results.appending(path: "\(job)")) } catch {
            throw ClientError(.storage, error.message)
        }
    }

    // MARK: files

    private func place(_ envelope: Envelope) -> URL { folder.appending(path: "\(envelope.job)-\(envelope.generation)") }

    private func read(_ place: URL) throws(ClientError) -> Entry {
        do {
            let envelope = try Envelope(bytes: Array(Data(contentsOf: place.appending(path: "envelope"))))
            let poolKey = Array(try Data(contentsOf: place.appending(path: "pool.pub")))
            guard place.lastPathComponent == self.place(envelope).lastPathComponent, poolKey.count == 32 else {
                throw ClientError(.storage, "\(place.path) is damaged: remove it, and publish again")
            }
            let body = try Self.body(in: place)
            return Entry(envelope: envelope, poolKey: poolKey, publications: Self.publications(envelope, body))
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError(.storage, "\(place.path) cannot be read (\(error.words)): remove it, and publish again")
        }
    }

    private static func body(in place: URL) throws(ClientError) -> [UInt8] {
        let url = place.appending(path: "body")
        let bytes: [UInt8]
        do { bytes = Array(try Data(contentsOf: url)) } catch {
            throw ClientError(.storage, "\(url.path) cannot be read: \(error.localizedDescription)")
        }
        let body = Array(bytes.dropFirst(DigestKind.length))
        guard bytes.count >= DigestKind.length, Digest(of: body).bytes.elementsEqual(bytes.prefix(DigestKind.length))
        else {
            throw ClientError(.storage, "\(url.path) is damaged: remove \(place.path), and publish again")
        }
        return body
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

    /// Removes an entry's folder; its secret is overwritten first, as far as the file system lets that mean anything.
    private func remove(_ url: URL) throws(ClientError) {
        guard FileManager.default.fileExists(atPath: url.path) else { return }
        if let secret = FileHandle(forWritingAtPath: url.appending(path: "ephemeral.key").path) {
            let length = (try? secret.seekToEnd()) ?? 0
            try? secret.seek(toOffset: 0)
            try? secret.write(contentsOf: Data(count: Int(length)))
            try? secret.synchronize()
            try? secret.close()
        }
        do {
            try FileManager.default.removeItem(at: url)
            try DurableFile.flushFolder(url.deletingLastPathComponent())
        } catch {
            throw ClientError(.storage, "\(url.path) cannot be removed: \(error.words)")
        }
    }
}

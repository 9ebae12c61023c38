internal import Disk
internal import Foundation
internal import Sodium
internal import Trust
internal import Wire

/// Jobs under way, each with the very bytes that it consists of, until the broker has forgotten it.
///
///     spool/JOB-GENERATION.key                   mode 0600; opens the result
///     spool/JOB-GENERATION.publish or .denoise   BLAKE2b-256 of the rest ‖ pool key ‖ the envelope's length, 2 bytes ‖ the envelope as
///                                                it is sent ‖ the payload, before it is sealed
///     results/JOB                                the opened result, once it is surfaced
///
/// The key is there before the entry, and overwritten before the entry goes: an entry without its key is over, and a key without its
/// entry was never used. Sealing is deterministic: an entry gives the same sealed bytes at every try.
///
/// What publishes, and every result, is on disk when the call returns. A request for samples is not flushed: it gives nothing away and can
/// be made again, and samples are asked for so often that the flushes would be most of what a client does. So after a loss of power
/// such a request may be gone.
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
        for place in [folder, results] {
            for name in try Self.names(place) where name.hasPrefix(".") { try remove(place.appending(path: name)) }
        }
        let files = try Self.names(folder).map { folder.appending(path: $0) }
        for file in files where Self.entryExtensions.contains(file.pathExtension) {
            guard try hasKey(file), let entry = try read(file) else {
                try remove(file)
                continue
            }
            guard let other = entries.updateValue(entry, forKey: entry.envelope.job) else { continue }
            // A crash between the new generation and the end of the old one.
            let older = other.envelope.generation < entry.envelope.generation ? other : entry
            if older.envelope == entry.envelope { entries[entry.envelope.job] = other }
            try removeFiles(of: older.envelope)
        }
        // Left by a crash, and never used.
        let kept = Set(entries.values.map { key($0.envelope).lastPathComponent })
        for file in files where file.pathExtension == Self.keyExtension && !kept.contains(file.lastPathComponent) {
            try wipeKey(file)
        }
        for entry in entries.values { count(entry, 1) }
    }

    /// Whether anything was ever spooled here: asked before the ledger is opened.
    static func exists(in home: URL) -> Bool {
        FileManager.default.fileExists(atPath: home.appending(path: "spool").path)
    }

    // MARK: entries

    /// Adds a job, or the next generation of one that is there. On return one that publishes is on disk.
    func add(
        _ envelope: Envelope, body: [UInt8], ephemeral: X25519KeyPair, poolKey: [UInt8]
    ) throws(ClientError) {
        let key = key(envelope), isDurable = envelope.kind == .publish
        let older = entries[envelope.job]
        // Of a try that failed.
        try wipeKey(key)
        do {
            try steps.reach(.spoolFill)
            try SecretFile.write([ephemeral.secret], for: .ephemeral, to: key, isDurable: isDurable)
            try steps.reach(.spoolFilled)
            try DurableFile.write(
                Self.content(envelope, body, poolKey), to: place(envelope), isDurable: isDurable)
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
        if let older, older.envelope.generation != envelope.generation { try removeFiles(of: older.envelope) }
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
        let place = place(try entry(job).envelope)
        guard let content = try Self.content(of: place) else { throw Self.damage(place) }
        return content.body
    }

    func ephemeral(_ job: JobID) throws(ClientError) -> X25519KeyPair {
        let url = key(try entry(job).envelope)
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
        try removeFiles(of: entry.envelope)
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

    /// Removes a result whose job is forgotten. If it is there again after a loss of power, the next opening removes it.
    func removeResult(_ job: JobID) throws(ClientError) { try remove(results.appending(path: "\(job)")) }

    // MARK: files

    private static let keyExtension = "key"
    private static let entryExtensions = [WireJobKind.publish, .denoise].map { "\($0)" }

    private func place(_ envelope: Envelope) -> URL {
        folder.appending(path: "\(envelope.job)-\(envelope.generation).\(envelope.kind)")
    }

    private func key(_ envelope: Envelope) -> URL { key(of: place(envelope)) }

    private func key(of place: URL) -> URL {
        place.deletingPathExtension().appendingPathExtension(Self.keyExtension)
    }

    private static func content(_ envelope: Envelope, _ body: [UInt8], _ poolKey: [UInt8]) -> [UInt8] {
        let length = UInt16(envelope.bytes.count)
        let rest = poolKey + [UInt8(length & 255), UInt8(length >> 8)] + envelope.bytes + body
        return Digest(of: rest).bytes + rest
    }

    /// - Returns: nil for content that is not what was written.
    private static func content(
        of place: URL
    ) throws(ClientError) -> (envelope: ArraySlice<UInt8>, body: [UInt8], poolKey: [UInt8])? {
        let bytes: [UInt8]
        do { bytes = Array(try Data(contentsOf: place)) } catch {
            throw ClientError(.storage, "\(place.path) cannot be read: \(error.words)")
        }
        let rest = bytes.dropFirst(DigestKind.length), head = rest.prefix(34)
        guard head.count == 34, Digest(of: Array(rest)).bytes.elementsEqual(bytes.prefix(DigestKind.length)) else {
            return nil
        }
        let length = Int(head[head.endIndex - 2]) | Int(head[head.endIndex - 1]) << 8
        let envelope = rest.dropFirst(34).prefix(length)
        return (envelope, Array(rest.dropFirst(34 + length)), Array(head.prefix(32)))
    }

    private static func damage(_ place: URL) -> ClientError {
        ClientError(.storage, "\(place.path) is damaged: remove it, and publish again")
    }

    /// - Returns: nil for a request that a loss of power tore.
    private func read(_ file: URL) throws(ClientError) -> Entry? {
        guard let content = try Self.content(of: file), let envelope = try? Envelope(bytes: Array(content.envelope)),
            place(envelope).lastPathComponent == file.lastPathComponent
        else {
            if file.pathExtension == "\(WireJobKind.denoise)" { return nil }
            throw Self.damage(file)
        }
        return Entry(
            envelope: envelope, poolKey: content.poolKey, publications: Self.publications(envelope, content.body))
    }

    /// Whether the entry's key was not wiped. One that was never flushed may be empty, or zeros, after a loss of power.
    private func hasKey(_ place: URL) throws(ClientError) -> Bool {
        let key = key(of: place)
        guard FileManager.default.fileExists(atPath: key.path) else { return false }
        do { return try !Data(contentsOf: key).allSatisfy { $0 == 0 } } catch {
            throw ClientError(.storage, "\(key.path) cannot be read: \(error.words)")
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
    private func removeFiles(of envelope: Envelope) throws(ClientError) {
        try wipeKey(key(envelope))
        try remove(place(envelope))
    }

    /// Overwrites a key on disk, as far as the file system lets that mean anything, and removes it.
    private func wipeKey(_ url: URL) throws(ClientError) {
        if let secret = FileHandle(forWritingAtPath: url.path) {
            let length = (try? secret.seekToEnd()) ?? 0
            try? secret.seek(toOffset: 0)
            try? secret.write(contentsOf: Data(count: Int(length)))
            try? secret.synchronize()
            try? secret.close()
        }
        try remove(url)
    }

    /// Not flushed: what is there again after a loss of power is removed again.
    private func remove(_ url: URL) throws(ClientError) {
        do { try FileManager.default.removeItem(at: url) } catch CocoaError.fileNoSuchFile {} catch {
            throw ClientError(.storage, "\(url.path) cannot be removed: \(error.words)")
        }
    }
}

internal import Disk
package import Exchange
package import Foundation
internal import GRDB
internal import Wire

/// Jobs in a SQLite file: WAL, `synchronous=FULL`, so a commit is one fsync of the log and survives a loss of power. Payloads and
/// results of some length lie beside it in `Segments`, flushed before the rows are committed that name them.
///
/// What the file has of a job is kept in memory too (`jobs`), so that no table needs an index over random ids.
package final class SQLiteStore: JournalStore {
    let url: URL
    let database: DatabaseQueue
    let segments: Segments
    private let lock: FileLock
    /// What the file holds.
    var jobs: [JobKey: StoredJob] = [:]
    var lastID: Int64 = 0

    /// Opens the file, or makes it; brings an older schema up to date.
    ///
    /// - Parameters:
    ///   - role: what the process calls itself in the file's lock.
    ///   - segmentSize: bytes of payloads that share a file.
    /// - Throws: `.inUse`, `.newer`, `.foreign`, `.corrupt`, `.broken`, `.full`.
    package init(_ url: URL, as role: String = "", segmentSize: Int = 16 << 20) throws(JournalError) {
        self.url = url
        lock = try Self.lock(url, role)
        segments = Segments(URL(filePath: url.path + "-segments"), size: segmentSize)
        do {
            var configuration = Configuration()
            configuration.label = "journal"
            configuration.busyMode = .timeout(2)
            database = try DatabaseQueue(path: url.path, configuration: configuration)
            try database.writeWithoutTransaction { db in
                try Schema.identify(db, url)
                try Self.makeDurable(db, url)
            }
            try Schema.migrate(database, url)
        } catch {
            throw JournalError(error, url)
        }
    }

    /// Of the file at `url`.
    package static func lockFile(of url: URL) -> URL { URL(filePath: url.path + ".lock") }

    private static func lock(_ url: URL, _ role: String) throws(JournalError) -> FileLock {
        let folder = url.deletingLastPathComponent()
        do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
            throw JournalError(
                .broken, "the folder \(folder.path) of the journal cannot be made: \(error.localizedDescription)")
        }
        let lock: FileLock
        do throws(FileLock.Refusal) {
            lock = try FileLock(lockFile(of: url), as: role)
        } catch {
            switch error {
            case .held(let process):
                throw JournalError(
                    .inUse,
                    "the journal \(url.path) is in use by process \(process): a broker has a journal of its own; "
                        + "stop the other one, or name another file with --journal")
            case .disk(let error): throw JournalError(error.isDiskFull ? .full : .broken, error.message)
            }
        }
        // SQLite gives its log the permissions of the file. Who sends how much to whom is nobody else's business.
        guard
            FileManager.default.fileExists(atPath: url.path)
                || FileManager.default.createFile(
                    atPath: url.path, contents: nil, attributes: [.posixPermissions: 0o600])
        else { throw JournalError(.broken, "the journal \(url.path) cannot be made: is its folder writable?") }
        return lock
    }

    /// Asks for what the promises rest on, and checks that it was granted.
    private static func makeDurable(_ db: Database, _ url: URL) throws {
        let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL")
        try db.execute(sql: "PRAGMA synchronous = FULL")
        let synchronous = try Int.fetchOne(db, sql: "PRAGMA synchronous")
        guard mode == "wal", synchronous == 2 else {
            throw JournalError(
                .broken,
                "\(url.path) cannot be written durably (journal_mode \(mode ?? "?"), synchronous "
                    + "\(synchronous.map(String.init) ?? "?")): put it on a local disk")
        }
        // A job's row is changed soon after it was stored: a long log is copied back seldom, and then only the newest state of
        // each page.
        let pageSize = try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 4096
        try db.execute(sql: "PRAGMA wal_autocheckpoint = \(logLength / pageSize)")
        try db.execute(sql: "PRAGMA cache_size = -8192")
    }

    /// SQLite's log is copied back when it is so long. Until then each commit lengthens it, which costs a flush of the length too.
    private static let logLength = 16 << 20

    // MARK: JournalStore

    @discardableResult package func commit(_ entries: [JournalEntry]) throws(JournalError) -> Int {
        var changes = JobChanges(entries, to: jobs, after: lastID)
        var pieces: (added: [Piece], removed: [Piece], written: Int)
        let moves: [Move]
        do {
            pieces = try changes.place(in: segments)
            moves = try tidy(except: changes)
            if !pieces.added.isEmpty || !moves.isEmpty { try segments.flush() }
            try database.writeWithoutTransaction { [changes] db in
                try db.inTransaction(.immediate) {
                    for change in changes.inOrder { try change.write(db) }
                    for move in moves { try move.write(db) }
                    return .commit
                }
            }
        } catch {
            segments.abandon()
            throw JournalError(error, url)
        }
        changes.settle(&jobs)
        lastID = changes.lastID
        for move in moves {
            jobs[move.key]?.piece = move.to
            pieces.added.append(move.to)
            pieces.removed.append(move.from)
        }
        segments.settle(added: pieces.added, removed: pieces.removed)
        return pieces.written
    }

    /// A piece that is written again elsewhere.
    private struct Move {
        let key: JobKey
        let job: StoredJob
        let from: Piece
        let to: Piece

        func write(_ db: Database) throws {
            try db.run(
                "UPDATE \(job.phase.hasResult ? "results" : "payloads") SET segment = ?, place = ? WHERE number = ?",
                [to.segment, to.place, job.number])
        }
    }

    /// A segment that is mostly not needed is emptied, so that a few old pieces do not hold much room for days.
    private func tidy(except changes: JobChanges) throws(JournalError) -> [Move] {
        guard let segment = segments.wasteful else { return [] }
        var moves: [Move] = []
        for (key, job) in jobs where job.piece?.segment == segment && !changes.touches(key) {
            guard let piece = job.piece else { continue }
            let bytes = try segments.read(piece, of: job.number, url)
            moves.append(Move(key: key, job: job, from: piece, to: try segments.append(bytes, of: job.number)))
        }
        return moves
    }

    package func shortage() -> JournalError? {
        guard var (free, reserve) = room, free < reserve else { return nil }
        segments.trim(to: 0)
        (free, reserve) = room ?? (free, reserve)
        guard free < reserve else { return nil }
        return JournalError(
            .full, "the disk of \(url.path) has \(free >> 20) MB left of the \(reserve >> 20) MB that a broker needs")
    }

    /// Bytes on the disk.
    private var room: (free: UInt64, reserve: UInt64)? {
        var system = statvfs()
        guard statvfs(url.path, &system) == 0 else { return nil }
        let block = UInt64(system.f_frsize)
        // Room for everything that may be on its way to the disk: results of running jobs, a log that is copied back.
        return (UInt64(system.f_bavail) * block, min(64 << 20, UInt64(system.f_blocks) * block / 8))
    }
}

extension JournalError {
    init(_ error: any Error, _ url: URL) {
        if let error = error as? JournalError {
            self = error
            return
        }
        guard let error = error as? DatabaseError else {
            self.init(.broken, "the journal \(url.path) cannot be used: \(error.words)")
            return
        }
        let what = "\(error.message ?? "no reason given") (SQLite error \(error.extendedResultCode.rawValue))"
        switch (error.resultCode, error.extendedResultCode) {
        case (.SQLITE_CORRUPT, _), (.SQLITE_NOTADB, _):
            self.init(.corrupt, Self.corruption(of: url, what))
        case (.SQLITE_FULL, _), (_, .SQLITE_IOERR_SHMSIZE):
            self.init(.full, "the disk of the journal \(url.path) is full: \(what)")
        case (.SQLITE_BUSY, _), (_, .SQLITE_IOERR_WRITE), (_, .SQLITE_IOERR_LOCK), (_, .SQLITE_IOERR_NOMEM):
            self.init(.unwritable, "the journal \(url.path) cannot be written now: \(what)")
        default:
            self.init(.broken, "the journal \(url.path) cannot be used: \(what)")
        }
    }

    static func corruption(of url: URL, _ what: String) -> String {
        """
        the journal \(url.path) is damaged: \(what). Move it away, with the files \(url.lastPathComponent)-wal and -shm and the folder -segments beside it, \
        or put a backup in their place, and start the broker again: clients submit every job again whose result they do \
        not have. Results that waited for clients are computed again
        """
    }
}

internal import Exchange
internal import Foundation
internal import GRDB
internal import Wire

/// What the file has of a job.
struct StoredJob: Hashable, Sendable {
    enum Phase: Int, Sendable {
        /// Accepted and not done: its payload is stored.
        case waiting = 0
        /// Its result is stored.
        case inMailbox = 1
        /// Given up: its payload is stored.
        case dead = 2
        case acknowledged = 3
        case ended = 4

        var hasPayload: Bool { self == .waiting || self == .dead }
        var hasResult: Bool { self == .inMailbox }
    }

    var number: Int64
    var phase: Phase
    var attempts: UInt32
    /// The boot epoch of the newest attempt; 0: none.
    var epoch: UInt64 = 0
    /// 0: nobody suspects it; else one more than its crashes alone.
    var suspicion = 0
    /// Of its payload or its result, whichever there is; nil: that lies in a row, or there is none.
    var piece: Piece?
}

/// What a batch of entries changes, once for each job: what was accepted and done within one batch is stored as done, and
/// its payload not at all.
struct JobChanges {
    private var changes: [JobKey: JobChange] = [:]
    private var order: [JobKey] = []
    private(set) var lastID: Int64

    /// - Parameters:
    ///   - stored: what the file has.
    ///   - lastID: the highest number that a job has there.
    init(_ entries: [JournalEntry], to stored: [JobKey: StoredJob], after lastID: Int64) {
        self.lastID = lastID
        for entry in entries {
            let key = entry.key
            if changes[key] == nil {
                changes[key] = JobChange(key: key, before: stored[key])
                order.append(key)
            }
            if changes[key]!.apply(entry, next: self.lastID + 1) { self.lastID += 1 }
        }
    }

    var inOrder: [JobChange] { order.compactMap { changes[$0] } }

    func touches(_ key: JobKey) -> Bool { changes[key] != nil }

    /// Writes what is too long for a row into the segments.
    ///
    /// - Returns: what is needed of them from now on, and what no more; bytes that are written, those in rows included.
    mutating func place(in segments: Segments) throws(JournalError) -> (added: [Piece], removed: [Piece], written: Int)
    {
        var added: [Piece] = [], removed: [Piece] = [], written = 0
        for key in order {
            written += try changes[key]?.place(in: segments) ?? 0
            guard let change = changes[key], change.before?.piece != change.after?.piece else { continue }
            if let piece = change.before?.piece { removed.append(piece) }
            if let piece = change.after?.piece { added.append(piece) }
        }
        return (added, removed, written)
    }

    /// The changes are in the file.
    func settle(_ stored: inout [JobKey: StoredJob]) {
        for (key, change) in changes { stored[key] = change.after }
    }
}

/// What becomes of one job.
struct JobChange {
    let key: JobKey
    let before: StoredJob?
    /// nil: nothing is known of it (any more).
    private(set) var after: StoredJob?
    private var envelope: [UInt8] = []
    private var sealed: [UInt8] = []
    private var result: (header: [UInt8], sealed: [UInt8], keptUntil: Int64)?
    private var code = 0

    init(key: JobKey, before: StoredJob?) {
        self.key = key
        self.before = before
        after = before
    }

    /// - Parameter next: the number for a job that is new.
    /// - Returns: whether it took it.
    mutating func apply(_ entry: JournalEntry, next: Int64) -> Bool {
        switch entry {
        case .accepted(_, let envelope, let sealed):
            // A dead letter that is replayed keeps its place.
            if var dead = after, dead.phase == .dead {
                dead.phase = .waiting
                dead.suspicion = min(dead.suspicion, 1)
                after = dead
                return false
            }
            // As the next generation of a job that is over, its attempts are counted on, by one that nobody has.
            after = StoredJob(number: next, phase: .waiting, attempts: after.map { $0.attempts + 1 } ?? 0)
            self.envelope = envelope
            self.sealed = sealed
            return true
        case .attempted(_, let attempt, let epoch):
            after?.attempts = attempt
            after?.epoch = epoch
        case .suspected(_, let crashes): after?.suspicion = crashes + 1
        case .finished(_, let header, let sealed, let keptUntil):
            after?.phase = .inMailbox
            result = (header, sealed, keptUntil)
        case .acknowledged: after?.phase = .acknowledged
        case .ended(_, .deadLetter): after?.phase = .dead
        case .ended(_, let code):
            after?.phase = .ended
            self.code = code.rawValue
        case .forgotten: after = nil
        }
        return false
    }

    /// What is shorter lies in a row: it would cost a flush of its own.
    static let longestInRow = 4 << 10

    /// - Returns: bytes that are written, in a segment or a row.
    fileprivate mutating func place(in segments: Segments) throws(JournalError) -> Int {
        guard let job = after else { return 0 }
        let isNew = before?.number != job.number
        if let bytes = isNew && job.phase.hasPayload ? sealed : job.phase.hasResult ? result?.sealed : nil {
            after?.piece = bytes.count > Self.longestInRow ? try segments.append(bytes, of: job.number) : nil
            return bytes.count
        }
        if isNew || before?.phase.hasPayload != job.phase.hasPayload
            || before?.phase.hasResult != job.phase.hasResult
        {
            after?.piece = nil
        }
        return 0
    }

    func write(_ db: Database) throws {
        if let before, before.number != after?.number {
            try db.run("DELETE FROM jobs WHERE number = ?", [before.number])
            try deletePayload(before, db)
            try deleteResult(before, db)
        }
        guard let after else { return }
        if before?.number != after.number {
            try db.run(
                "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    after.number, Data(key.client.bytes), Data(key.job.bytes), Data(envelope), after.phase.rawValue,
                    after.attempts, code, Int64(clamping: after.epoch), after.suspicion,
                ])
            if after.phase.hasPayload {
                try db.run(
                    "INSERT INTO payloads VALUES (?, ?, ?, ?, ?)",
                    [after.number, after.piece == nil ? Data(sealed) : nil] + Self.columns(after.piece))
            }
        } else if let before, before != after {
            try db.run(
                "UPDATE jobs SET phase = ?, attempts = ?, code = ?, epoch = ?, suspicion = ? WHERE number = ?",
                [
                    after.phase.rawValue, after.attempts, code, Int64(clamping: after.epoch), after.suspicion,
                    after.number,
                ])
            if !after.phase.hasPayload { try deletePayload(before, db) }
            if !after.phase.hasResult { try deleteResult(before, db) }
        }
        if after.phase.hasResult, let result {
            try db.run(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    after.number, Data(result.header), after.piece == nil ? Data(result.sealed) : nil, result.keptUntil,
                ] + Self.columns(after.piece))
        }
    }

    private static func columns(_ piece: Piece?) -> [(any DatabaseValueConvertible)?] {
        [piece?.segment, piece?.place, piece?.length]
    }

    private func deletePayload(_ job: StoredJob, _ db: Database) throws {
        if job.phase.hasPayload { try db.run("DELETE FROM payloads WHERE number = ?", [job.number]) }
    }

    private func deleteResult(_ job: StoredJob, _ db: Database) throws {
        if job.phase.hasResult { try db.run("DELETE FROM results WHERE number = ?", [job.number]) }
    }
}

extension Database {
    /// Runs a statement that is compiled once.
    func run(_ sql: String, _ values: [(any DatabaseValueConvertible)?]) throws {
        let statement = try cachedStatement(sql: sql)
        statement.setUncheckedArguments(StatementArguments(values))
        try statement.execute()
    }
}

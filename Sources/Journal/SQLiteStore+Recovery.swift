internal import Exchange
internal import Foundation
internal import GRDB
internal import Wire

extension SQLiteStore {
    package func recover() throws(JournalError) -> Recovery {
        do {
            let (broker, epoch) = try countStart()
            let (entries, jobs) = try database.read(read)
            self.jobs = jobs
            segments.begin(with: jobs.values.lazy.compactMap(\.piece))
            lastID = jobs.values.lazy.map(\.number).max() ?? 0
            return Recovery(broker: broker, bootEpoch: epoch, entries: entries)
        } catch {
            throw JournalError(error, url)
        }
    }

    /// Durable before anybody hears of the epoch.
    private func countStart() throws -> (BrokerID, UInt64) {
        try database.write { db in
            try db.execute(sql: "UPDATE broker SET epoch = epoch + 1")
            guard let row = try Row.fetchOne(db, sql: "SELECT id, epoch FROM broker"),
                let broker = BrokerID(row[0] as Data), let epoch = UInt64(exactly: row[1] as Int64)
            else { throw damaged("it does not say whose it is", url) }
            return (broker, epoch)
        }
    }

    private func read(_ db: Database) throws -> ([JournalEntry], [JobKey: StoredJob]) {
        var entries: [JournalEntry] = []
        var jobs: [JobKey: StoredJob] = [:]
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT j.number, j.client, j.job, j.envelope, j.phase, j.attempts, j.code, p.sealed, r.header, r.sealed,
                       r.kept_until, p.segment, p.place, p.length, r.segment, r.place, r.length, j.epoch, j.suspicion
                FROM jobs j LEFT JOIN payloads p ON p.number = j.number LEFT JOIN results r ON r.number = j.number
                ORDER BY j.number
                """)
        while let row = try rows.next() {
            let number: Int64 = row[0]
            guard let client = try row.bytes(1).flatMap(ClientID.init), let id = try row.bytes(2).flatMap(JobID.init),
                let envelope = try row.bytes(3), let phase = StoredJob.Phase(rawValue: row[4]),
                let attempts = UInt32(exactly: row[5] as Int64), let epoch = UInt64(exactly: row[17] as Int64),
                let suspicion = Int(exactly: row[18] as Int64)
            else { throw damaged("job \(number) cannot be read", url) }
            let key = JobKey(client: client, job: id)
            let piece = row.piece(phase.hasResult ? 14 : 11)
            let sealed = try piece.map { try segments.read($0, of: number, url) } ?? row.bytes(phase.hasResult ? 9 : 7)
            guard !phase.hasPayload || sealed != nil else { throw damaged("job \(number) has no payload", url) }
            let job = StoredJob(
                number: number, phase: phase, attempts: attempts, epoch: epoch, suspicion: suspicion, piece: piece)
            guard jobs.updateValue(job, forKey: key) == nil
            else { throw damaged("job \(number) is there twice", url) }
            entries.append(.accepted(key, envelope: envelope, sealed: phase.hasPayload ? sealed ?? [] : []))
            if attempts > 0 { entries.append(.attempted(key, attempt: attempts, epoch: epoch)) }
            if suspicion > 0 { entries.append(.suspected(key, crashes: suspicion - 1)) }
            switch phase {
            case .waiting: break
            case .inMailbox:
                guard let header = try row.bytes(8), let sealed else {
                    throw damaged("job \(number) has no result", url)
                }
                entries.append(.finished(key, header: header, sealed: sealed, keptUntil: row[10]))
            case .dead: entries.append(.ended(key, code: .deadLetter))
            case .acknowledged: entries.append(.acknowledged(key))
            case .ended: entries.append(.ended(key, code: WireCode(rawValue: row[6]) ?? .unspecified))
            }
        }
        return (entries, jobs)
    }
}

/// SQLite finds the file in order, and it is not.
private func damaged(_ what: String, _ url: URL) -> JournalError {
    JournalError(.corrupt, JournalError.corruption(of: url, what))
}

extension Row {
    /// nil: the first of three columns is NULL.
    fileprivate func piece(_ column: Int) -> Piece? {
        guard let segment = self[column] as Int64?, let place = self[column + 1] as Int?,
            let length = self[column + 2] as Int?
        else { return nil }
        return Piece(segment: segment, place: place, length: length)
    }

    /// nil: the column is NULL.
    fileprivate func bytes(_ column: Int) throws -> [UInt8]? {
        try withUnsafeData(atIndex: column) { $0.map { Array($0) } }
    }
}

internal import Exchange
internal import Foundation
internal import GRDB
internal import Wire

extension SQLiteStore {
    package func recover() throws(JournalError) -> Recovery {
        do {
            let (broker, epoch) = try countStart()
            let (entries, jobs) = try database.read { db in try Self.read(db, url) }
            self.jobs = jobs
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

    private static func read(_ db: Database, _ url: URL) throws -> ([JournalEntry], [JobKey: StoredJob]) {
        var entries: [JournalEntry] = []
        var jobs: [JobKey: StoredJob] = [:]
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT j.number, j.client, j.job, j.envelope, j.phase, j.attempts, j.code, p.sealed, r.header, r.sealed,
                       r.kept_until, j.epoch, j.suspicion
                FROM jobs j LEFT JOIN payloads p ON p.number = j.number LEFT JOIN results r ON r.number = j.number
                ORDER BY j.number
                """)
        while let row = try rows.next() {
            let number: Int64 = row[0]
            guard let client = try row.bytes(1).flatMap(ClientID.init), let id = try row.bytes(2).flatMap(JobID.init),
                let envelope = try row.bytes(3), let phase = StoredJob.Phase(rawValue: row[4]),
                let attempts = UInt32(exactly: row[5] as Int64), let epoch = UInt64(exactly: row[11] as Int64),
                let suspicion = Int(exactly: row[12] as Int64)
            else { throw damaged("job \(number) cannot be read", url) }
            let key = JobKey(client: client, job: id)
            let sealed = try row.bytes(7)
            guard !phase.hasPayload || sealed != nil else { throw damaged("job \(number) has no payload", url) }
            let job = StoredJob(number: number, phase: phase, attempts: attempts, epoch: epoch, suspicion: suspicion)
            guard jobs.updateValue(job, forKey: key) == nil
            else { throw damaged("job \(number) is there twice", url) }
            entries.append(.accepted(key, envelope: envelope, sealed: sealed ?? []))
            if attempts > 0 { entries.append(.attempted(key, attempt: attempts, epoch: epoch)) }
            if suspicion > 0 { entries.append(.suspected(key, crashes: suspicion - 1)) }
            switch phase {
            case .waiting: break
            case .inMailbox:
                guard let header = try row.bytes(8), let sealed = try row.bytes(9) else {
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
    /// nil: the column is NULL.
    fileprivate func bytes(_ column: Int) throws -> [UInt8]? {
        try withUnsafeData(atIndex: column) { $0.map { Array($0) } }
    }
}

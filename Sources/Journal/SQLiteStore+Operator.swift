package import Exchange
package import Foundation
internal import GRDB
package import Wire

/// What an operator may do with a journal's jobs while no broker has it; looking is always allowed.
extension SQLiteStore {
    /// Every job that is not forgotten, in the order in which they were accepted. It may be read while a broker writes.
    ///
    /// - Throws: `.broken` when there is no such file; `.corrupt`, `.newer`, `.foreign`.
    package static func jobs(in url: URL) throws(JournalError) -> [JobReport] {
        guard FileManager.default.fileExists(atPath: url.path) else {
            throw JournalError(.broken, "there is no journal \(url.path)")
        }
        do {
            var configuration = Configuration()
            configuration.busyMode = .timeout(2)
            let database = try DatabaseQueue(path: url.path, configuration: configuration)
            try Schema.check(database, url)
            return try database.read(read)
        } catch {
            throw JournalError(error, url)
        }
    }

    private static func read(_ db: Database) throws -> [JobReport] {
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT j.envelope, j.phase, j.attempts, j.code, coalesce(p.length, length(p.sealed)),
                       coalesce(r.length, length(r.sealed)), j.suspicion
                FROM jobs j LEFT JOIN payloads p ON p.number = j.number LEFT JOIN results r ON r.number = j.number
                ORDER BY j.number
                """)
        var reports: [JobReport] = []
        while let row = try rows.next() {
            guard let envelope = try? Envelope(bytes: Array(row[0] as Data)),
                let phase = StoredJob.Phase(rawValue: row[1])
            else { continue }
            let state: JobReport.State =
                switch phase {
                case .waiting: .queued
                case .inMailbox: .inMailbox
                case .dead: .deadLetter
                case .acknowledged: .acknowledged
                case .ended: JobReport.State(.ended(WireCode(rawValue: row[3]) ?? .unspecified))
                }
            var report = JobReport(envelope, state, attempts: row[2])
            report.bytes = (row[4] as Int?) ?? (row[5] as Int?) ?? 0
            let suspicion: Int = row[6]
            report.isSuspect = suspicion > 0
            report.crashes = max(0, suspicion - 1)
            reports.append(report)
        }
        return reports
    }

    /// Queues dead letters again, or ends them for good, as if they were cancelled.
    package static func settle(_ keys: [JobKey], in url: URL, retrying: Bool) throws(JournalError) {
        let store = try SQLiteStore(url)
        let entries = try store.recover().entries
        let dead = Set(entries.compactMap { if case .ended(let key, .deadLetter) = $0 { key } else { nil } })
        try store.commit(
            entries.compactMap { entry in
                guard case .accepted(let key, _, _) = entry, keys.contains(key), dead.contains(key) else { return nil }
                return retrying ? entry : .ended(key, code: .cancelled)
            })
    }
}

internal import Foundation
internal import GRDB
internal import Wire

/// The tables, and how they came to be. A version is never changed; a new one is added below it.
enum Schema {
    /// "CFjl", in SQLite's header of the file: what it is.
    private static let applicationID = 0x4346_6A6C

    /// - Throws: `.foreign` for a database of something else.
    static func identify(_ db: Database, _ url: URL) throws {
        let id = try Int.fetchOne(db, sql: "PRAGMA application_id")
        guard id != applicationID else { return }
        guard id == 0, try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_schema") == 0 else {
            throw foreign(url)
        }
        try db.execute(sql: "PRAGMA application_id = \(applicationID)")
    }

    /// Without changing anything.
    ///
    /// - Throws: `.foreign`, `.newer`
    static func check(_ database: DatabaseQueue, _ url: URL) throws {
        try database.read { db in
            guard try Int.fetchOne(db, sql: "PRAGMA application_id") == applicationID else { throw foreign(url) }
            guard try migrator.hasCompletedMigrations(db) else {
                throw JournalError(.newer, "the journal \(url.path) is of another version than this collafuse")
            }
        }
    }

    private static func foreign(_ url: URL) -> JournalError {
        JournalError(
            .foreign, "\(url.path) is a database of something else, and no broker's journal: name another file")
    }

    /// - Throws: `.newer`
    static func migrate(_ database: DatabaseQueue, _ url: URL) throws {
        guard try !database.read(migrator.hasBeenSuperseded) else {
            throw JournalError(
                .newer,
                "the journal \(url.path) was written by a newer version of collafuse: start that version, or name another file"
            )
        }
        try migrator.migrate(database)
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            // One row: who this broker is, and how often it was started.
            try db.execute(
                sql: """
                    CREATE TABLE broker (id BLOB NOT NULL, epoch INTEGER NOT NULL) STRICT;
                    """)
            var random = SystemRandomNumberGenerator()
            try db.execute(
                sql: "INSERT INTO broker VALUES (?, 0)",
                arguments: [Data(BrokerID.random(using: &random).bytes)])
            // Numbered in the order in which they were accepted. `phase` is a `StoredJob.Phase`; `code` a wire code, of jobs
            // that ended.
            try db.execute(
                sql: """
                    CREATE TABLE jobs (
                        number INTEGER PRIMARY KEY, client BLOB NOT NULL, job BLOB NOT NULL, envelope BLOB NOT NULL,
                        phase INTEGER NOT NULL, attempts INTEGER NOT NULL, code INTEGER NOT NULL
                    ) STRICT;
                    """)
            // Apart from the rows that change: of jobs that are not done, and of results that wait.
            try db.execute(
                sql: "CREATE TABLE payloads (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;")
            try db.execute(
                sql: """
                    CREATE TABLE results (
                        number INTEGER PRIMARY KEY, header BLOB NOT NULL, sealed BLOB NOT NULL, kept_until INTEGER NOT NULL
                    ) STRICT;
                    """)
        }
        // The fence of the newest attempt, and what is held against the job; see `StoredJob`.
        migrator.registerMigration("2") { db in
            try db.execute(sql: "ALTER TABLE jobs ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0")
            try db.execute(sql: "ALTER TABLE jobs ADD COLUMN suspicion INTEGER NOT NULL DEFAULT 0")
        }
        migrator.registerMigration("3") { db in
            // What is long lies in segments, and the row says where: either `sealed` is there, or the three after it are.
            try db.execute(
                sql: """
                    ALTER TABLE payloads RENAME TO former_payloads;
                    CREATE TABLE payloads (
                        number INTEGER PRIMARY KEY, sealed BLOB, segment INTEGER, place INTEGER, length INTEGER
                    ) STRICT;
                    INSERT INTO payloads (number, sealed) SELECT number, sealed FROM former_payloads;
                    DROP TABLE former_payloads;
                    ALTER TABLE results RENAME TO former_results;
                    CREATE TABLE results (
                        number INTEGER PRIMARY KEY, header BLOB NOT NULL, sealed BLOB, kept_until INTEGER NOT NULL,
                        segment INTEGER, place INTEGER, length INTEGER
                    ) STRICT;
                    INSERT INTO results (number, header, sealed, kept_until)
                        SELECT number, header, sealed, kept_until FROM former_results;
                    DROP TABLE former_results;
                    """)
        }
        return migrator
    }
}

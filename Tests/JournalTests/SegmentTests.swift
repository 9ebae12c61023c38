import Exchange
import Foundation
import GRDB
import Testing
import Wire

@testable import Journal

/// Payloads and results that lie in files of their own.
@Suite struct SegmentTests {
    private static let segmentSize = 64 << 10

    private func store(_ scene: Scene) throws -> SQLiteStore {
        let store = try SQLiteStore(scene.file, segmentSize: Self.segmentSize)
        _ = try store.recover()
        return store
    }

    private func files(_ scene: Scene) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: scene.segments.path).sorted()
    }

    private func text(_ entries: [JournalEntry]) -> [String] { entries.map { "\($0)" } }

    /// A crash between the flush of a payload and the commit of its row leaves anything behind the last piece.
    @Test func whatLiesBehindTheLastPieceIsNothing() throws {
        let scene = try Scene()
        let jobs = (0..<3).map { Scene.accepted($0, bytes: 9_000) }
        for job in jobs { try store(scene).commit([job]) }
        let segment = scene.segments.appending(path: try #require(try files(scene).last))
        let whole = try Data(contentsOf: segment)
        for tail in [Data(), Data([1, 2, 3]), whole.prefix(5_000), Data(count: 20_000)] {
            try (whole + tail).write(to: segment)
            #expect(try scene.recover().text == text(jobs))
        }
        try store(scene).commit([Scene.accepted(3, bytes: 9_000)])
        #expect(try scene.recover().text == text(jobs + [Scene.accepted(3, bytes: 9_000)]))
    }

    @Test func aSegmentThatIsTornGarbledOrGoneIsRefusedInWordsThatHelp() throws {
        let damages: [(String, (URL) throws -> Void)] = [
            ("cut", { try Data(contentsOf: $0).dropLast(1).write(to: $0) }),
            ("empty", { try Data().write(to: $0) }), ("gone", { try FileManager.default.removeItem(at: $0) }),
            (
                "overwritten",
                { segment in
                    var data = try Data(contentsOf: segment)
                    data.replaceSubrange(9_016..<9_032, with: data[0..<16])
                    try data.write(to: segment)
                }
            ),
        ]
        for (what, damage) in damages {
            let scene = try Scene()
            try store(scene).commit([Scene.accepted(0, bytes: 9_000), Scene.accepted(1, bytes: 9_000)])
            try damage(scene.segments.appending(path: try #require(try files(scene).last)))
            let error = #expect(throws: JournalError.self) { try scene.recover() }
            #expect(error?.code == .corrupt && error?.isHopeless == true, "\(what): \(error as Any)")
            #expect(error?.message.contains("put a backup in their place") == true, "\(what)")
        }
    }

    /// `/dev/full` is a disk that is always full.
    @Test func aFullDiskStoresNothingByHalvesAndGoesOnWhenThereIsRoom() throws {
        let scene = try Scene()
        do {
            let store = try store(scene)
            try store.commit([Scene.accepted(0)])
            try FileManager.default.createDirectory(at: scene.segments, withIntermediateDirectories: true)
            let segment = scene.segments.appending(path: "1")
            try FileManager.default.createSymbolicLink(atPath: segment.path, withDestinationPath: "/dev/full")
            let batch = [Scene.accepted(1, bytes: 300), Scene.accepted(2, bytes: 9_000), Scene.finished(0)]
            for _ in 1...2 {
                let error = #expect(throws: JournalError.self) { try store.commit(batch) }
                #expect(error?.code == .full && error?.mayPass == true)
            }
            #expect(store.jobs.count == 1)
            try FileManager.default.removeItem(at: segment)
            try store.commit(batch)
        }
        let expected: [JournalEntry] = [
            .accepted(Scene.key(0), envelope: [1, 0], sealed: []), Scene.finished(0), Scene.accepted(1, bytes: 300),
            Scene.accepted(2, bytes: 9_000),
        ]
        #expect(try scene.recover().text == text(expected))
    }

    @Test func aBatchThatFailsInTheFileLeavesItsPiecesBehind() throws {
        let scene = try Scene()
        var store: SQLiteStore? = try store(scene)
        try store?.commit([Scene.accepted(0, bytes: 9_000)])
        // More than a segment holds, and rows for which there is no room.
        try store?.database.writeWithoutTransaction { db in
            let used = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            try db.execute(sql: "PRAGMA max_page_count = \(used + 1)")
        }
        let batch =
            (1...9).map { Scene.accepted($0, bytes: 9_000) } + (10...30).map { Scene.accepted($0, bytes: 4_000) }
        #expect(#expect(throws: JournalError.self) { try store?.commit(batch) }?.code == .full)
        try store?.database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA max_page_count = 10000") }
        try store?.commit(batch)
        store = nil
        #expect(try scene.recover().text == text([Scene.accepted(0, bytes: 9_000)] + batch))
    }

    @Test func segmentsAreUsedAgain() throws {
        let scene = try Scene()
        var store: SQLiteStore? = try store(scene)
        for number in 0..<100 {
            try store?.commit([Scene.accepted(number, bytes: 20_000)])
            if number >= 3 { try store?.commit([.ended(Scene.key(number - 3), code: .cancelled)]) }
        }
        store = nil
        #expect(try files(scene).count <= 6)
        let left = try scene.recover().recovery.entries.filter { entry in
            if case .accepted(_, _, let sealed) = entry { !sealed.isEmpty } else { false }
        }
        #expect(text(left) == text((97..<100).map { Scene.accepted($0, bytes: 20_000) }))
    }

    /// One old result in each of many segments does not keep their room.
    @Test func whatIsLeftInManySegmentsIsMovedTogether() throws {
        let scene = try Scene()
        let kept = (0..<20).map { 10 * $0 }
        do {
            let store = try store(scene)
            for number in 0..<200 {
                try store.commit([Scene.accepted(number, bytes: 6_000)])
                if !kept.contains(number) { try store.commit([.ended(Scene.key(number), code: .cancelled)]) }
            }
            // 120,000 bytes are needed: two segments, of which half may be waste, and those kept for use again.
            #expect(try files(scene).count <= 10)
            #expect(store.segments.live.values.reduce(0) { $0 + $1.pieces } == kept.count)
        }
        let left = try scene.recover().recovery.entries.filter { entry in
            if case .accepted(_, _, let sealed) = entry { !sealed.isEmpty } else { false }
        }
        #expect(text(left) == text(kept.map { Scene.accepted($0, bytes: 6_000) }))
    }

    @Test func aJournalOfTheFirstVersionIsTakenOver() throws {
        let scene = try Scene()
        do {
            let database = try DatabaseQueue(path: scene.file.path)
            try database.write { db in
                try db.execute(
                    sql: """
                        PRAGMA application_id = \(0x4346_6A6C);
                        CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
                        INSERT INTO grdb_migrations VALUES ('1');
                        CREATE TABLE broker (id BLOB NOT NULL, epoch INTEGER NOT NULL) STRICT;
                        INSERT INTO broker VALUES (x'\(String(repeating: "ab", count: 16))', 4);
                        CREATE TABLE jobs (
                            number INTEGER PRIMARY KEY, client BLOB NOT NULL, job BLOB NOT NULL, envelope BLOB NOT NULL,
                            phase INTEGER NOT NULL, attempts INTEGER NOT NULL, code INTEGER NOT NULL
                        ) STRICT;
                        CREATE TABLE payloads (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
                        CREATE TABLE results (
                            number INTEGER PRIMARY KEY, header BLOB NOT NULL, sealed BLOB NOT NULL, kept_until INTEGER NOT NULL
                        ) STRICT;
                        """)
                for (number, phase) in [(1, StoredJob.Phase.waiting), (2, .inMailbox)] {
                    try db.run(
                        "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, 0, 0)",
                        [
                            number, Data(Scene.client.bytes), Data(Scene.key(number).job.bytes),
                            Data([1, UInt8(number)]),
                            phase.rawValue,
                        ])
                }
                try db.run("INSERT INTO payloads VALUES (1, ?)", [Data(Scene.payload(1, 9_000))])
                try db.run("INSERT INTO results VALUES (2, ?, ?, 1234)", [Data([2]), Data(Scene.payload(3, 9_000))])
            }
        }
        let expected: [JournalEntry] = [
            Scene.accepted(1, bytes: 9_000), .accepted(Scene.key(2), envelope: [1, 2], sealed: []),
            Scene.finished(2, bytes: 9_000),
        ]
        let (recovery, found) = try scene.recover()
        #expect(found == text(expected) && recovery.bootEpoch == 5)
        try store(scene).commit([Scene.finished(1, bytes: 9_000), .acknowledged(Scene.key(2))])
        #expect(try scene.recover().text.contains("\(Scene.finished(1, bytes: 9_000))"))
    }
}

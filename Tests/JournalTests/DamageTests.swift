import Exchange
import Foundation
import GRDB
import Testing

@testable import Journal

/// Files as a loss of power, a failing disk, a full disk or a mistaken hand leaves them.
@Suite struct DamageTests {
    /// A log that ends anywhere, or is garbled anywhere, holds every commit before that place, whole, and none after it.
    @Test func aTornLogHoldsAllThatWasFlushedBefore() throws {
        let scene = try Scene()
        let store = try SQLiteStore(scene.file)
        _ = try store.recover()
        let log = URL(filePath: scene.file.path + "-wal")
        var ends: [Int] = []
        for number in 0..<8 {
            try store.commit([Scene.accepted(2 * number, bytes: 9_000), Scene.accepted(2 * number + 1, bytes: 300)])
            ends.append(try Data(contentsOf: log).count)
        }
        let (file, whole) = (try Data(contentsOf: scene.file), try Data(contentsOf: log))
        #expect(ends.last == whole.count)
        func jobsFound(in log: Data) throws -> Int {
            let copy = try Scene()
            try file.write(to: copy.file)
            try log.write(to: URL(filePath: copy.file.path + "-wal"))
            try FileManager.default.copyItem(at: scene.segments, to: copy.segments)
            return try copy.recover().recovery.entries.count
        }
        for (commit, end) in ends.enumerated() {
            #expect(try jobsFound(in: whole.prefix(end)) == 2 * (commit + 1))
            #expect(try jobsFound(in: whole.prefix(end - 1)) == 2 * commit, "cut by one byte")
            let start = commit == 0 ? end - 5_000 : ends[commit - 1]
            #expect(try jobsFound(in: whole.prefix((start + end) / 2)) == 2 * commit, "cut in the middle")
            var garbled = whole
            garbled[(start + end) / 2] ^= 0x40
            #expect(try jobsFound(in: garbled) == 2 * commit, "garbled in the middle")
        }
    }

    @Test func aDamagedFileIsRefusedInWordsThatHelp() throws {
        let damages: [(String, (inout Data) -> Void)] = [
            ("its pages are gone", { data in data.replaceSubrange(4096..., with: Data(count: data.count - 4096)) }),
            ("it was cut", { data in data = data.prefix(data.count / 2) }),
            ("it is no database", { data in data = Data("once upon a time, on a disk far away".utf8) }),
        ]
        for (what, damage) in damages {
            let scene = try Scene()
            do {
                let store = try SQLiteStore(scene.file)
                _ = try store.recover()
                try store.commit((0..<50).map { Scene.accepted($0, bytes: 4_000) })
            }
            var data = try Data(contentsOf: scene.file)
            damage(&data)
            try data.write(to: scene.file)
            let error = #expect(throws: JournalError.self) { try scene.recover() }
            #expect(error?.code == .corrupt && error?.isHopeless == true, "\(what): \(error as Any)")
            #expect(error?.message.contains("put a backup in their place") == true, "\(what)")
        }
    }

    @Test func aDatabaseOfSomethingElseIsLeftAlone() throws {
        let scene = try Scene()
        do { try DatabaseQueue(path: scene.file.path).write { try $0.execute(sql: "CREATE TABLE cats (name)") } }
        let before = try Data(contentsOf: scene.file)
        #expect(#expect(throws: JournalError.self) { try scene.recover() }?.code == .foreign)
        #expect(try Data(contentsOf: scene.file) == before)
    }

    @Test func aFullDiskStoresNothingByHalvesAndGoesOnWhenThereIsRoom() throws {
        let scene = try Scene()
        do {
            let store = try SQLiteStore(scene.file)
            _ = try store.recover()
            try store.commit([Scene.accepted(1, bytes: 5_000)])
            func allow(pages: Int) throws {
                try store.database.writeWithoutTransaction { db in
                    let used = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
                    try db.execute(sql: "PRAGMA max_page_count = \(used + pages)")
                }
            }
            try allow(pages: 3)
            let batch =
                [Scene.accepted(2, bytes: 50_000), Scene.finished(1)] + (3..<9).map { Scene.accepted($0, bytes: 4_000) }
            let error = #expect(throws: JournalError.self) { try store.commit(batch) }
            #expect(error?.code == .full && error?.mayPass == true)
            #expect(store.jobs.count == 1)
            try allow(pages: 1_000)
            try store.commit(batch)
        }
        let expected: [JournalEntry] = [
            .accepted(Scene.key(1), envelope: [1, 1], sealed: []), Scene.finished(1),
            Scene.accepted(2, bytes: 50_000),
        ]
        #expect(
            try scene.recover().text
                == (expected + (3..<9).map { Scene.accepted($0, bytes: 4_000) }).map { "\($0)" })
    }
}

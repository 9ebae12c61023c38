import Exchange
import Foundation
import Wire

@testable import Journal

/// A journal's file in a folder of its own, and entries to put into it.
final class Scene {
    let folder: URL
    var file: URL { folder.appending(path: "journal.sqlite") }

    var segments: URL { folder.appending(path: "journal.sqlite-segments") }

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "journal-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    static let client = ClientID([UInt8](repeating: 7, count: 16))!

    static func key(_ number: Int) -> JobKey {
        var bytes = [UInt8](repeating: 0, count: 16)
        for place in 0..<8 { bytes[place] = UInt8(truncatingIfNeeded: number >> (8 * place)) }
        return JobKey(client: client, job: JobID(bytes)!)
    }

    static func accepted(_ number: Int, bytes: Int = 100) -> JournalEntry {
        .accepted(key(number), envelope: [1, UInt8(truncatingIfNeeded: number)], sealed: payload(number, bytes))
    }

    static func finished(_ number: Int, bytes: Int = 100) -> JournalEntry {
        .finished(key(number), header: [2], sealed: payload(number + 1, bytes), keptUntil: 1234)
    }

    static func payload(_ number: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0 &* 7) }
    }

    /// What a start finds.
    func recover() throws -> (recovery: Recovery, text: [String]) {
        let recovery = try SQLiteStore(file, segmentSize: 64 << 10).recover()
        return (recovery, recovery.entries.map { "\($0)" })
    }
}

import Disk
import Foundation
import Synchronization
import Testing

struct DurableFolderTests {
    private let parent = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID())")

    private func names(_ folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    @Test func isThereWithAllItsFilesAndNothingBeside() throws {
        let folder = parent.appending(path: "model")
        try DurableFolder.write([("a", Data([1])), ("b", Data([2]))], to: folder)
        #expect(try names(parent) == ["model"])
        #expect(try names(folder) == ["a", "b"])
    }

    @Test func isReplacedOnlyWhenAsked() throws {
        let folder = parent.appending(path: "model")
        try DurableFolder.write([("old", Data())], to: folder)
        #expect(throws: DiskError.self) { try DurableFolder.write([("new", Data())], to: folder) }
        #expect(try names(folder) == ["old"])
        try DurableFolder.write([("new", Data())], to: folder, replacing: true)
        #expect(try names(folder) == ["new"])
        #expect(try names(parent) == ["model"])
    }

    /// A reader that looks all the time; two renames, one after the other, would show it a gap within a few rounds.
    @Test func isThereAtEveryMomentOfAReplacement() async throws {
        let folder = parent.appending(path: "model")
        try DurableFolder.write([("a", Data())], to: folder)
        let isOver = Mutex(false)
        let reader = Task.detached { [path = folder.path] in
            var gaps = 0
            while !isOver.withLock({ $0 }) { if access(path, F_OK) != 0 { gaps += 1 } }
            return gaps
        }
        for round in 0..<40 {
            try DurableFolder.write([("a", Data([UInt8(round)]))], to: folder, replacing: true)
        }
        isOver.withLock { $0 = true }
        #expect(await reader.value == 0)
        #expect(try names(parent) == ["model"])
        #expect(try Data(contentsOf: folder.appending(path: "a")) == Data([39]))
    }

    @Test func aFileThatCannotBeWrittenLeavesNothing() throws {
        let folder = parent.appending(path: "model")
        #expect(throws: DiskError.self) { try DurableFolder.write([("a", Data()), ("missing/b", Data())], to: folder) }
        #expect(try names(parent) == [])
    }
}

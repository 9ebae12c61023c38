import Disk
import Foundation
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

    @Test func aFileThatCannotBeWrittenLeavesNothing() throws {
        let folder = parent.appending(path: "model")
        #expect(throws: DiskError.self) { try DurableFolder.write([("a", Data()), ("missing/b", Data())], to: folder) }
        #expect(try names(parent) == [])
    }
}

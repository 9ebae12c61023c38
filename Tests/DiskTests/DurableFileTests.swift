import Disk
import Foundation
import Testing

struct DurableFileTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    @Test func replacesAFileWholeAndLeavesNothingBeside() throws {
        let file = folder.appending(path: "a")
        try DurableFile.write(Data("long old content".utf8), to: file)
        try DurableFile.write(Data("new".utf8), to: file)
        #expect(try Data(contentsOf: file) == Data("new".utf8))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a"])
    }

    @Test func secretsAreForTheirOwnerAlone() throws {
        let file = folder.appending(path: "secret")
        try DurableFile.write(Data([1]), to: file)
        let mode = try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func aFolderThatIsMissingIsNamed() {
        let file = folder.appending(path: "missing/a")
        let error = #expect(throws: DiskError.self) { try DurableFile.write(Data([1]), to: file) }
        #expect(error?.message.contains("missing") == true)
    }

    @Test func removingTwiceIsNoError() throws {
        let file = folder.appending(path: "a")
        try DurableFile.write(Data([1]), to: file)
        try DurableFile.remove(file)
        try DurableFile.remove(file)
        #expect(!FileManager.default.fileExists(atPath: file.path))
    }
}

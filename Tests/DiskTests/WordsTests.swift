import Disk
import Foundation
import Testing

struct WordsTests {
    private let missing = FileManager.default.temporaryDirectory.appending(path: "missing-\(UUID())")

    @Test func ofFoundationsErrors() throws {
        let actions: [() throws -> Void] = [
            { _ = try Data(contentsOf: missing) }, { try Data().write(to: missing.appending(path: "file")) },
            { _ = try FileManager.default.contentsOfDirectory(atPath: missing.path) },
            { try FileManager.default.removeItem(at: missing) },
        ]
        for action in actions {
            let error = #expect(throws: (any Error).self) { try action() }
            let words = error?.words ?? ""
            #expect(words.contains(missing.path) && words.contains("No such file"), "\(words)")
            #expect(!words.contains("Domain") && !words.contains("Code="), "\(words)")
        }
    }

    @Test func ofOthersTheyAreTheirOwn() {
        let error = #expect(throws: DiskError.self) { try DurableFile.remove(missing.appending(path: "a/b")) }
        #expect(error?.words == error?.message)
        let folder = #expect(throws: DiskError.self) {
            try DurableFolder.write([], to: URL(filePath: "/proc/self/\(UUID())/made"))
        }
        #expect(folder?.code == ENOENT)
        #expect(POSIXError(.EACCES).words == "Permission denied")
    }
}

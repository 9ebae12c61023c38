import Foundation
import Testing

@testable import Evaluation

/// Folders that `report` and `baseline` cannot judge.
struct RunFilesTests {
    @Test("a folder that no finished run left is named, with what to do")
    func wrongFolders() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "run-files-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        func expect(_ words: String..., sourceLocation: SourceLocation = #_sourceLocation) {
            for open in [{ _ = try RunReport(folder: folder) }, { _ = try BaselineTrial(folder: folder) }] {
                let error = #expect(throws: EvaluationError.self, sourceLocation: sourceLocation) { try open() }
                #expect(error?.code == .badRun, sourceLocation: sourceLocation)
                for word in words + [folder.path] {
                    #expect(error?.message.contains(word) == true, "\(error as Any)", sourceLocation: sourceLocation)
                }
            }
        }
        func write(_ text: String, _ name: String) throws {
            try Data(text.utf8).write(to: folder.appending(path: name))
        }
        expect("There is no folder", "out/demo")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        expect("plan.json", "out/demo")
        try write("{", "plan.json")
        expect("nodes.json", "not come to its end")
        try write("{}", "nodes.json")
        expect("plan.json cannot be read")
    }
}

import Foundation
import Testing

@testable import Disk

struct DraftsTests {
    @Test func ofKilledWritersAreRemovedAndNothingElse() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(
            at: folder.appending(path: ".cut-500.\(UUID().uuidString)/in it"), withIntermediateDirectories: true)
        let kept = ["a", ".hidden", ".a.b", "..", "7.8", ".x.12", ".nfs0000000001.2", ".a.\(UUID().uuidString).old"]
        let drafts = [
            ".a.17.18446744073709551615", ".cut-500.training.safetensors.17.3", ".key.\(UUID().uuidString).new",
        ]
        for name in kept + drafts where name != ".." { try Data([1]).write(to: folder.appending(path: name)) }
        #expect(kept.allSatisfy { !Drafts.isDraft($0) } && drafts.allSatisfy(Drafts.isDraft))
        try Drafts.remove(in: folder)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(Set(names) == Set(kept).subtracting([".."]))
        try Drafts.remove(in: folder.appending(path: "missing"))
    }
}

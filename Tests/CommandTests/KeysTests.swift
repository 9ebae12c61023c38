import Foundation
import Testing

/// `collafuse keys`, as an operator and a client use it.
@Suite struct KeysTests {
    private static let topology = Shapes.topology(clients: "name: a, images: pictures, labels: [disc]")

    private func keys(_ arguments: String..., in folder: URL) throws -> CommandRun {
        try CommandRun.of(CommandRun.binaries.appending(path: "collafuse"), ["keys"] + arguments, in: folder)
    }

    @Test func aDeploymentFromNothing() async throws {
        try await inTemporaryFolder { folder in
            try Data(Self.topology.utf8).write(to: folder.appending(path: "t.yaml"))
            let begun = try keys("init", "keys", in: folder)
            #expect(begun.status == 0, "\(begun.output)")
            let root = try #require(
                begun.output.split(separator: "\n").first?.split(separator: " ").last.map(String.init))
            for arguments in [["broker", "broker"], ["worker", "w", "--roles", "denoise", "train"]] {
                let added = try CommandRun.of(
                    CommandRun.binaries.appending(path: "collafuse"), ["keys", "add"] + arguments, in: folder)
                #expect(added.status == 0, "\(added.output)")
            }
            // The client makes its own keys, elsewhere.
            #expect(try keys("new", "client", "clinic", "--kit", "kit", in: folder).status == 0)
            let mismatched = try keys("add", "client", "other", "--request", "kit/node.request", in: folder)
            #expect(mismatched.status != 0 && mismatched.output.contains("is of client clinic"))
            #expect(try keys("add", "client", "clinic", "--request", "kit/node.request", in: folder).status == 0)
            let unpinned = try keys("verify", "keys/public", "--kit", "kit", in: folder)
            #expect(unpinned.status != 0 && unpinned.output.contains("keys pin"))
            let wrong = try keys("pin", "keys/public", "--kit", "kit", "--root", String(root.reversed()), in: folder)
            #expect(wrong.status != 0 && wrong.output.contains("do not use it"))
            #expect(try keys("pin", "keys/public", "--kit", "kit", "--root", root, in: folder).status == 0)
            let early = try keys("verify", "keys/public", "--kit", "kit", in: folder)
            #expect(early.status != 0 && early.output.contains("collafuse keys pool"))
            #expect(try keys("pool", in: folder).status == 0)
            #expect(try keys("run", "t.yaml", in: folder).status == 0)
            for kit in ["kit", "keys/nodes/w", "keys/nodes/broker"] {
                let verified = try keys("verify", "keys/public", "--kit", kit, in: folder)
                #expect(verified.status == 0, "\(verified.output)")
            }
            let shown = try keys("show", in: folder).output
            for word in [root, "clinic", "shapes", "denoise train", "epoch 1"] {
                #expect(shown.contains(word), "\(shown)")
            }
        }
    }

    @Test func whatIsRefusedSaysWhatToDo() async throws {
        try await inTemporaryFolder { folder in
            let nowhere = try keys("pool", in: folder)
            #expect(nowhere.status != 0 && nowhere.output.contains("collafuse keys init"))
            #expect(try keys("init", "keys", in: folder).status == 0)
            let again = try keys("init", "keys", in: folder)
            #expect(again.status != 0 && again.output.contains("is there already"))
            let name = try keys("add", "client", "../x", in: folder)
            #expect(name.status != 0 && name.output.contains("is no name for a node"))
            #expect(try keys("add", "client", "a", in: folder).status == 0)
            let secret = folder.appending(path: "keys/nodes/a/secret.key")
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: secret.path)
            let open = try keys("verify", "keys/public", "--kit", "keys/nodes/a", in: folder)
            #expect(open.status != 0 && open.output.contains("chmod 600 "), "\(open.output)")
        }
    }
}

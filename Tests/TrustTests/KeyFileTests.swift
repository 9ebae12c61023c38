import Foundation
import Sodium
import Testing
import Trust

struct KeyFileTests {
    @Test("a kit comes back as it was made, in files that only its owner reads")
    func roundTrip() throws {
        let scene = try Scene()
        let folder = scene.op.kitFolder(try NodeName("worker-1"))
        let again = try NodeKit(opening: folder)
        #expect(again.request.bytes == scene.worker.request.bytes)
        #expect(again.root == scene.op.root)
        #expect(again.curve.secret.isEqual(to: scene.worker.curve.secret))
        let mode = try FileManager.default.attributesOfItem(atPath: folder.appending(path: "secret.key").path)
        #expect(mode[.posixPermissions] as? Int == 0o600)
    }

    @Test(
        "a key file that others can read is refused, with the command that mends it", arguments: [0o640, 0o604, 0o777])
    func exposed(mode: Int) throws {
        let scene = try Scene()
        let folder = scene.op.kitFolder(try NodeName("hospital-a"))
        let path = folder.appending(path: "secret.key").path
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        #expect(code { _ = try NodeKit(opening: folder) } == .fileExposed)
        #expect(message { _ = try NodeKit(opening: folder) }.contains("chmod 600 \(path)"))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        _ = try NodeKit(opening: folder)
    }

    @Test("a truncated, damaged, foreign or missing key file is refused")
    func damage() throws {
        let scene = try Scene()
        let folder = scene.op.kitFolder(try NodeName("hospital-a"))
        let file = folder.appending(path: "secret.key")
        let good = try Data(contentsOf: file)
        func put(_ bytes: Data) throws {
            try bytes.write(to: file)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file.path)
        }
        for index in good.indices {
            var changed = good
            changed[index] ^= 0x20
            try put(changed)
            #expect(code { _ = try NodeKit(opening: folder) } == .malformed, "byte \(index)")
        }
        try put(good.dropLast())
        #expect(message { _ = try NodeKit(opening: folder) }.contains("truncated"))
        try put(Data())
        #expect(code { _ = try NodeKit(opening: folder) } == .malformed)
        try put(Data(contentsOf: scene.op.kitFolder(NodeName("broker-1")).appending(path: "secret.key")))
        #expect(code { _ = try NodeKit(opening: folder) } == .malformed)
        try FileManager.default.removeItem(at: file)
        #expect(code { _ = try NodeKit(opening: folder) } == .fileMissing)
    }

    @Test("another kit's secrets under this kit's request are noticed")
    func mixedKit() throws {
        let scene = try Scene()
        try scene.op.addNode(.client, name: NodeName("hospital-b"), now: Scene.now)
        let a = scene.op.kitFolder(try NodeName("hospital-a")).appending(path: "secret.key")
        let b = scene.op.kitFolder(try NodeName("hospital-b")).appending(path: "secret.key")
        try FileManager.default.removeItem(at: a)
        try FileManager.default.copyItem(at: b, to: a)
        #expect(code { _ = try NodeKit(opening: scene.op.kitFolder(NodeName("hospital-a"))) } == .malformed)
    }

    @Test("keys are never overwritten")
    func overwriting() throws {
        let scene = try Scene()
        #expect(code { try scene.op.addNode(.client, name: NodeName("hospital-a"), now: Scene.now) } == .fileExists)
        #expect(code { _ = try Operator.create(in: scene.folder, now: Scene.now) } == .fileExists)
    }

    @Test("a kit made at home is certified by its request alone, then pins the root")
    func homeMade() throws {
        let scene = try Scene()
        let home = scene.folder.appending(path: "home")
        let kit = try NodeKit.generate(.client, name: NodeName("clinic"), in: home)
        #expect(code { _ = try kit.pinnedRoot() } == .untrusted)
        let request = try NodeRequest(bytes: Array(Data(contentsOf: home.appending(path: "node.request"))))
        try scene.op.certify(request, now: Scene.now)
        try kit.pin(scene.op.root, in: home)
        let opened = try NodeKit(opening: home)
        #expect(try opened.pinnedRoot() == scene.op.root)
        let deployment = try Deployment(opening: scene.op.deploymentFolder, pinned: opened.root, now: Scene.now)
        #expect(deployment.roster.clients.map(\.name.description) == ["hospital-a", "clinic"])
        let other = try Ed25519KeyPair.generate().publicKey
        #expect(code { try opened.pin(other, in: home) } == .untrusted)
    }

    @Test("an operator's folder opens again; another signer's key does not")
    func reopening() throws {
        let scene = try Scene()
        let again = try Operator(opening: scene.folder, now: Scene.now)
        try again.makePoolKeys(now: Scene.now)
        #expect(
            code { _ = try Operator(opening: scene.folder.appending(path: "nodes"), now: Scene.now) } == .fileMissing)
        let key = scene.folder.appending(path: "operator/signer.key")
        try FileManager.default.removeItem(at: key)
        try SecretFile.write([SecretBytes.random(count: 32)], for: .signer, to: key)
        #expect(code { _ = try Operator(opening: scene.folder, now: Scene.now) } == .untrusted)
    }

    @Test("a wiped file is overwritten, under whatever name, and gone; what a link points to is left alone")
    func wiping() throws {
        let scene = try Scene()
        let key = scene.folder.appending(path: "a.key"), name = scene.folder.appending(path: "b.key")
        #expect(code { _ = try SecretFile.isWiped(key) } == .fileMissing)
        try SecretFile.wipe(key)
        try SecretFile.write([SecretBytes.random(count: 32)], for: .ephemeral, to: key, isDurable: false)
        try FileManager.default.linkItem(at: key, to: name)
        #expect(try !SecretFile.isWiped(name) && SecretFile.read(.ephemeral, from: name).count == 1)
        try SecretFile.wipe(key)
        #expect(!FileManager.default.fileExists(atPath: key.path))
        #expect(try SecretFile.isWiped(name) && Data(contentsOf: name).allSatisfy { $0 == 0 })
        #expect(code { _ = try SecretFile.read(.ephemeral, from: name) } == .malformed)
        let other = scene.folder.appending(path: "other")
        try Data([1, 2, 3]).write(to: other)
        try FileManager.default.createSymbolicLink(at: key, withDestinationURL: other)
        try SecretFile.wipe(key)
        #expect(try Data(contentsOf: other) == Data([1, 2, 3]))
        #expect(try FileManager.default.contentsOfDirectory(atPath: scene.folder.path).contains("a.key") == false)
    }

    @Test("names that would leave their folder are no names", arguments: ["", "../x", "A", "-a", "a b", ".a", "ä"])
    func names(text: String) {
        #expect(code { _ = try NodeName(text) } == .badName)
    }
}

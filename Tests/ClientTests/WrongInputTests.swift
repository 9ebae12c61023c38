import Foundation
import Safetensors
import Testing
import Trust

@testable import CollaFuseClient

/// What a client is given and cannot use: an error that says what to do, and a client that can go on.
@Suite struct WrongInputTests {
    private func write(_ bytes: [UInt8], _ path: String, in folder: URL) throws -> URL {
        let url = folder.appending(path: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
        return url
    }

    @Test func imagesThatAreNone() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let trainer = try world.trainer(at: broker, images: 32)
        let client = try world.client(endpoint: broker.clients)
        defer { client.close() }
        func expect(_ url: URL, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation) async throws {
            let error = try await clientError {
                let images = try client.images(at: url)
                _ = try await client.publish(images, cut: 500)
            }
            #expect(error.code == .badImages, sourceLocation: sourceLocation)
            for word in words { #expect(error.message.contains(word), "\(error)", sourceLocation: sourceLocation) }
        }
        let folder = world.folder.appending(path: "images")
        try await expect(folder, "there is no folder or file \(folder.path)")
        let text = try write(Array("no picture".utf8), "text/0/a.png", in: folder)
        try await expect(text.deletingLastPathComponent().deletingLastPathComponent(), text.path)
        let goldens = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Goldens/images")
        // Cut off in the middle.
        let whole = try Data(contentsOf: goldens.appending(path: "grey.png"))
        let cutOff = try write(Array(whole.prefix(whole.count / 2)), "cut/0/b.png", in: folder)
        try await expect(cutOff.deletingLastPathComponent().deletingLastPathComponent(), cutOff.path)
        // Another shape than the run's.
        let large = try write(Array(whole), "large/1/c.png", in: folder)
        try await expect(large.deletingLastPathComponent().deletingLastPathComponent(), large.path, "8")
        var shape = SafetensorsArchive()
        try shape.append(.init(name: "images", shape: [2, 1, 4, 4], floats: Array(repeating: 0, count: 32)))
        let small = folder.appending(path: "small.safetensors")
        try shape.write(to: small)
        try await expect(small, small.path, "1×4×4", "1×8×8")
        // A header that lies: of more bytes than there are, of another length than the file's.
        let lies = Array(#"{"images":{"dtype":"F32","shape":[9,1,8,8],"data_offsets":[0,2304]}}"#.utf8)
        let lying = try write(
            [UInt8(lies.count), 0, 0, 0, 0, 0, 0, 0] + lies + [1, 2, 3], "lying.safetensors", in: folder)
        try await expect(lying, lying.path)
        let huge = try write([255, 255, 255, 255, 255, 255, 255, 127] + lies, "huge.safetensors", in: folder)
        try await expect(huge, huge.path)
        // A folder named after no label.
        let named = try write(Array(whole), "named/cat/a.png", in: folder)
        try await expect(named.deletingLastPathComponent().deletingLastPathComponent(), "cat")

        let range = try await clientError { _ = try client.images(at: RunWorld.digits, labels: [3, 10]) }
        #expect(
            range.code == .badRequest && range.message.contains("label 10") && range.message.contains("0…9"), "\(range)"
        )
        // Nothing of all this left, or is charged.
        #expect(await client.exposure().releases == 0)
        #expect(try await client.release.jobs().isEmpty)

        // And the same client goes on.
        let images = try client.images(at: RunWorld.digits, labels: [3])
        #expect(try await client.publish(images, cut: 500).published == images.count)
        await trainer.end()
        try await broker.end()
    }

    @Test func cutsAndRequestsThatCannotBe() async throws {
        let world = try RunWorld(allowedCuts: [300, 500])
        let client = try world.client()
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [0])
        for cut in [0, -5, 1000, 20_000] {
            let error = try await clientError { _ = try await client.publish(images, cut: cut) }
            #expect(error.code == .badRequest && error.message.contains("999"), "\(error)")
        }
        let notAllowed = try await clientError { _ = try await client.publish(images, cut: 400) }
        #expect(notAllowed.code == .badRequest && notAllowed.message.contains("300, 500"), "\(notAllowed)")
        let noHead = try await clientError {
            _ = try await client.sample(SampleRequest(held: [0], perLabel: 1, cut: 500))
        }
        #expect(noHead.code == .noHead && noHead.message.contains("client train --cut 500"), "\(noHead)")
        let noChunk = SampleRequest(held: [0], perLabel: 1, cut: 500, chunk: 0)
        #expect(try await clientError { _ = try await client.sample(noChunk) }.code == .badRequest)
        let noBatch = HeadTraining(images: 10, batch: 0)
        #expect(
            try await clientError { _ = try await client.trainHead(on: images, cut: 500, settings: noBatch) }.code
                == .badRequest)
        // A head for one cut is none for another; and none for labels that the run has not.
        _ = try await client.trainHead(on: images, cut: 500, settings: HeadTraining(images: 8, batch: 8))
        #expect(
            try await clientError { _ = try await client.sample(SampleRequest(held: [0], perLabel: 1, cut: 300)) }.code
                == .noHead)
        let label = try await clientError {
            _ = try await client.sample(SampleRequest(held: [10], perLabel: 1, cut: 500))
        }
        #expect(label.code == .badRequest && label.message.contains("0…9"), "\(label)")
        // What the head could not finish is not begun.
        for steps in [-1, 0, 1, 1001, 1_000_000_000, .max] {
            let request = SampleRequest(held: [0], perLabel: 1, cut: 500, steps: steps)
            let error = try await clientError { _ = try await client.sample(request) }
            #expect(error.code == .badRequest && error.message.contains("steps"), "\(error)")
        }
        for (each, others) in [(100_001, 0), (50_000, 50_000), (.max, 0), (1, .max), (.max, .max)] {
            let request = SampleRequest(held: [0], perLabel: each, unseenPerLabel: others, cut: 500)
            let error = try await clientError { _ = try await client.sample(request) }
            #expect(error.code == .badRequest && error.message.contains("100000 samples in all"), "\(error)")
        }
        for (sampler, eta) in [(SamplerChoice.ddim, 1.5), (.ddim, -1), (.ddim, .nan), (.heun, 0.5)] {
            let request = SampleRequest(held: [0], perLabel: 1, cut: 500, sampler: sampler, eta: eta)
            #expect(try await clientError { _ = try await client.sample(request) }.code == .badRequest)
        }
        #expect(try await client.release.jobs().isEmpty)
    }

    @Test func keysAndHomes() async throws {
        let world = try RunWorld()
        // Readable by others.
        let secret = try #require(
            FileManager.default.contentsOfDirectory(atPath: world.kit("east").path).first { $0.hasSuffix(".key") })
        let file = try world.kit("east").appending(path: secret)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file.path)
        let open = try await clientError { _ = try world.client("east") }
        #expect(
            open.code == .badSettings && open.message.contains(file.path) && open.message.contains("chmod"), "\(open)")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file.path)
        try world.client("east").close()
        // A key that the operator never saw.
        let stranger = world.folder.appending(path: "stranger")
        _ = try NodeKit.generate(.client, name: NodeName("stranger"), in: stranger, root: world.op.root)
        let settings = ClientSettings(
            deployment: world.op.deploymentFolder, kit: stranger, home: world.home("stranger"),
            brokers: ["tcp://127.0.0.1:1"])
        let unknown = try await clientError { _ = try CollaFuseClient(settings, logger: quiet) }
        #expect(
            unknown.code == .badSettings && unknown.message.contains("roster") && unknown.message.contains("stranger"))
        // The keys of another kind of node.
        let worker = try await clientError { _ = try world.client("trainer") }
        #expect(worker.code == .badSettings && worker.message.contains("worker"), "\(worker)")
        // One home, two clients.
        let first = try world.client()
        let second = try await clientError { _ = try world.client("east", home: world.home("north")) }
        #expect(second.code == .storage && second.message.contains("in use by process \(getpid())"), "\(second)")
        #expect(await first.exposure().images == 0)
        first.close()
    }
}

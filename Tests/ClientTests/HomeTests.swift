import Foundation
import Testing
import Trust
import Wire

@testable import CollaFuseClient

/// A client's home: made when it is to be, only once, and looked at without a trace.
@Suite struct HomeTests {
    private func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

    @Test func aClientHasOneHome() async throws {
        let world = try RunWorld()
        let name = try world.kit("north").appending(path: KitHome.name)
        let missing = try await clientError { _ = try world.client(makesHome: false) }
        #expect(missing.code == .badSettings && missing.message.contains("no home \(world.home("north").path)"))
        #expect(!exists(world.home("north")) && !exists(name))
        do {
            let first = try world.client()
            defer { first.close() }
            #expect(first.homeNotes.count == 1 && first.homeNotes[0].contains("made a new home"), "\(first.homeNotes)")
            #expect(try KitHome.read(in: world.kit("north")) == first.release.fingerprint)
        }
        // Another one is not made for it, and one that there is is not taken for it.
        for makesHome in [true, false] {
            let other = try await clientError { _ = try world.client(home: world.home("nroth"), makesHome: makesHome) }
            #expect(other.code == .badSettings && other.message.contains("is not this client's home"), "\(other)")
            #expect(other.message.contains(KitHome.name))
        }
        #expect(!exists(world.home("nroth")))
        try world.client("east").close()
        let taken = try await clientError { _ = try world.client(home: world.home("east")) }
        #expect([.badSettings, .storage].contains(taken.code), "\(taken)")
        // Nor is a kit believed that names none that could be.
        let whole = try Data(contentsOf: name)
        try Data("collafuse-home-1 00ff\n".utf8).write(to: name)
        let damaged = try await clientError { _ = try world.client() }
        #expect(damaged.code == .badSettings && damaged.message.contains(name.path), "\(damaged)")
        try whole.write(to: name)
    }

    /// Copies of keys and heads that a killed process had not given their names yet.
    @Test func whatIsHalfWrittenIsRemoved() throws {
        let world = try RunWorld()
        let home = world.home("north"), run = home.appending(path: "heads/0123456789abcdef")
        let head = run.appending(path: ".cut-500.\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: head, withIntermediateDirectories: true)
        let left = [
            home.appending(path: ".masking.key.\(UUID().uuidString).new"), home.appending(path: ".ledger.7.8"),
            run.appending(path: ".cut-500.training.safetensors.7.8"), head.appending(path: "model.safetensors"),
        ]
        let kept = run.appending(path: "cut-500.training.safetensors")
        for file in left + [kept] { try Data([1]).write(to: file) }
        try world.client().close()
        #expect(!left.contains(where: exists) && !exists(head) && exists(kept))
    }

    @Test func anotherLimitIsSaid() async throws {
        let world = try RunWorld()
        func notes(_ limit: Double?) async throws -> [String] {
            var notes: [String]?
            try await wait("the home is free") {
                guard let client = try? world.client(limit: limit) else { return false }
                notes = client.homeNotes
                client.close()
                return true
            }
            return try #require(notes)
        }
        _ = try await notes(nil)
        #expect(try await notes(3).isEmpty)
        let raised = try await notes(9.5)
        #expect(raised.count == 1 && raised[0].contains("9.5 dB from now on; it was 3.0 dB"), "\(raised)")
        #expect(try await notes(9.5).isEmpty)
        #expect(try await notes(nil).isEmpty)
    }

    /// What is published is made again from a home that is in use; nothing in it changes, and nothing is made where there is none.
    @Test func aHomeIsLookedAt() async throws {
        let scene = try ReleaseScene()
        let nowhere = scene.home("nowhere")
        #expect(await code { _ = try PublishedMasks(of: nowhere, run: scene.run) } == .badSettings)
        #expect(!exists(nowhere))
        let release = try scene.open()
        let images = try ReleaseScene.images(3)
        _ = try await scene.publish(release, ReleaseScene.images(2))
        // A batch that was cut off.
        let ledger = scene.home().appending(path: "ledger")
        var bytes = try Data(contentsOf: ledger)
        bytes.append(Data("release torn".utf8))
        try bytes.write(to: ledger)
        func contents() throws -> [String: Data] {
            let home = scene.home()
            return Dictionary(
                uniqueKeysWithValues: try FileManager.default.subpathsOfDirectory(atPath: home.path).map {
                    ($0, FileManager.default.contents(atPath: home.appending(path: $0).path) ?? Data())
                })
        }
        let before = try contents()
        let masks = try PublishedMasks(of: scene.home(), run: scene.run)
        let seen = try masks.masked(images, at: 500, mask: 0)
        #expect(try await release.published(images, at: 500) == seen)
        #expect(seen[0] != nil && seen[1] != nil && seen[2] == nil)
        #expect(try contents() == before)
    }

    /// Which place an image has among those of an epoch tells nothing of its place in another.
    @Test(.timeLimit(.minutes(1))) func everyEpochHasAnOrderOfItsOwn() async throws {
        let world = try RunWorld()
        let client = try world.client()
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        let call = Task { try await client.publish(images, cut: 500, policy: .fresh(epochs: 2), chunk: 1000) }
        try await wait("they are spooled") { try await client.release.jobs().count == 2 }
        call.cancel()
        _ = await call.result
        let own = try images.own(0..<images.count)
        var orders: [[Int]] = []
        for job in try await client.release.jobs() {
            let ids = try await client.release.publicationIDs(of: job.job)
            for epoch in UInt32(0)..<2 {
                let known = try await client.release.publicationIDs(of: own, epoch: epoch)
                let places = ids.compactMap { known.firstIndex(of: $0) }
                if !places.isEmpty { orders.append(places) }
            }
        }
        try #require(orders.count == 2 && orders.allSatisfy { $0.sorted() == Array(0..<images.count) })
        orders.append(Array(0..<images.count))
        // Of n places in two random orders one is the same on average.
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            #expect(zip(orders[a], orders[b]).count { $0 == $1 } < 10)
        }
    }
}

extension Release {
    fileprivate func publicationIDs(of job: JobID) throws -> [PublicationID] { try spool.entry(job).publications }

    fileprivate func publicationIDs(of images: OwnImages, epoch: UInt32) throws -> [PublicationID] {
        try names(of: images, at: 500, as: .fresh(epoch: epoch)).map { key.publication($0) }
    }
}

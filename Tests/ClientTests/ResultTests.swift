import Exchange
import Foundation
import Testing
import Trust
import Wire

@testable import CollaFuseClient

/// Results that nobody waits for, and results that are not accepted: over real brokers and workers.
@Suite(.serialized) struct ResultTests {
    /// Hands the jobs of a publication to the broker and goes away, before anybody does them.
    private func leaveBehind(_ world: RunWorld, at broker: RunningBroker, labels: [Int]) async throws -> Int {
        let client = try world.client(at: broker)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: labels)
        let call = Task { try await client.publish(images, cut: 500, chunk: 16) }
        let jobs = (images.count + 15) / 16
        try await wait("they are there") { try await client.status().jobs.count == jobs }
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        return jobs
    }

    @Test(
        "results of a call that an earlier process made come in by themselves, and are found when it is made again",
        .timeLimit(.minutes(5)))
    func resultsOfAnEarlierProcess() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let jobs = try await leaveBehind(world, at: broker, labels: [4])
        let trainer = try world.trainer(at: broker, images: 32)
        let client = try await world.successor(at: broker)
        defer { client.close() }
        try await wait("they are here") {
            let atBroker = try await client.status().jobs
            return try await client.release.jobs().allSatisfy(\.isSurfaced) && atBroker.isEmpty
        }
        let status = try await client.status()
        #expect(status.spool.count == jobs && status.spool.allSatisfy(\.isDone), "\(status.text)")
        await trainer.end()
        // Nobody is there to do anything.
        let images = try client.images(at: RunWorld.digits, labels: [4])
        #expect(try await client.publish(images, cut: 500).published == images.count)
        #expect(try world.stored().count == images.count)
        #expect(try await client.status().spool.isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: world.home("north").path + "/results").isEmpty)
        try await broker.end()
    }

    @Test(
        "results that this home knows nothing of are acknowledged, so that they do not fill the window",
        .timeLimit(.minutes(5)))
    func resultsOfAnotherHome() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        _ = try await leaveBehind(world, at: broker, labels: [4])
        let trainer = try world.trainer(at: broker, images: 32)
        let client = try await world.successor(at: broker, home: world.home("new"))
        defer { client.close() }
        try await wait("they are gone") { try await client.status().jobs.isEmpty }
        #expect(try await client.status().spool.isEmpty)
        #expect(await client.exposure().releases == 0)
        await trainer.end()
        try await broker.end()
    }

    @Test(
        "a result of a worker whom nobody certified clears nothing, ends the call, and the next call too; then it is done",
        .timeLimit(.minutes(5)))
    func anUnknownWorker() async throws {
        let world = try RunWorld()
        // From before the workers were certified.
        let old = world.folder.appending(path: "old")
        try FileManager.default.copyItem(at: world.op.deploymentFolder, to: old)
        let certificates = old.appending(path: "workers")
        for name in try FileManager.default.contentsOfDirectory(atPath: certificates.path) {
            try FileManager.default.removeItem(at: certificates.appending(path: name))
        }
        let broker = try await RunningBroker(world)
        let trainer = try world.trainer(at: broker, images: 32)
        var generations: [UInt32] = []
        do {
            let client = try world.client(at: broker, deployment: old)
            defer { client.close() }
            let images = try client.images(at: RunWorld.digits, labels: [4])
            for _ in 0..<2 {
                let error = try await clientError { _ = try await client.publish(images, cut: 500, chunk: 500) }
                #expect(error.code == .untrusted && error.message.contains("deployment folder anew"), "\(error)")
                let job = try #require(try await client.release.jobs().first)
                #expect(!job.isSurfaced)
                generations.append(
                    try await client.release.sealed(job.job, by: client.credentials.sealer).envelope.generation)
            }
        }
        // Each call has had it done a few times, and no more.
        #expect(generations[0] == 3 && (4...8).contains(generations[1]), "\(generations)")
        let client = try await world.successor(at: broker)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        #expect(try await client.publish(images, cut: 500).published == images.count)
        #expect(try world.stored().count == images.count)
        #expect(await client.exposure().worstReleases == 1)
        #expect(try await client.status().jobs.isEmpty)
        await trainer.end()
        try await broker.end()
    }

    @Test("two calls about the same job: the second is told so and does not wait for ever", .timeLimit(.minutes(5)))
    func twoCalls() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let client = try world.client(at: broker)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        let first = Task { try await client.publish(images, cut: 500) }
        try await wait("it is under way") { try await !client.status().jobs.isEmpty }
        let second = try await clientError { _ = try await client.publish(images, cut: 500) }
        #expect(second.code == .badRequest && second.message.contains("another call"), "\(second)")
        let trainer = try world.trainer(at: broker, images: 32)
        #expect(try await first.value.published == images.count)
        await trainer.end()
        try await broker.end()
    }
}

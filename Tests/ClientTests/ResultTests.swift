import Exchange
import Fabric
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
        "a result of another home of the same client is left for that home; one that this home forgot is not",
        .timeLimit(.minutes(5)))
    func resultsOfAnotherHome() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let jobs = try await leaveBehind(world, at: broker, labels: [4])
        let trainer = try world.trainer(at: broker, images: 32)
        do {
            let stranger = try await world.successor(at: broker, home: world.home("new"), kit: world.copiedKit())
            defer { stranger.close() }
            try await wait("they are done, and were sent here") {
                let atBroker = try await stranger.status().jobs
                #expect(atBroker.count == jobs)
                return atBroker.allSatisfy { $0.state == "\(WireJobState.inMailbox)" }
            }
            // What it does itself goes on beside them.
            let twos = try stranger.images(at: RunWorld.digits, labels: [2])
            #expect(try await stranger.publish(twos, cut: 500).published == twos.count)
            #expect(try await stranger.status().jobs.count == jobs)
            #expect(try await stranger.status().spool.isEmpty)
        }
        do {
            let client = try await world.successor(at: broker)
            defer { client.close() }
            let images = try client.images(at: RunWorld.digits, labels: [4])
            #expect(try await client.publish(images, cut: 500).published == images.count)
            #expect(try await client.status().jobs.isEmpty)
            // One more, and it is forgotten before its result is acknowledged.
            let job = try #require(
                try await client.release.publish(
                    client.images(at: RunWorld.digits, labels: [5]).own(0..<1), at: 500, as: .once(),
                    to: client.credentials.poolKey(for: .train), now: Moment.now().wall))
            let (envelope, sealed) = try await client.release.sealed(job, by: client.credentials.sealer)
            _ = try await client.session.perform(envelope, sealed: sealed)
            try await client.release.forget(job)
            #expect(try await client.status().jobs.count == 1)
        }
        let client = try await world.successor(at: broker)
        defer { client.close() }
        try await wait("it is acknowledged all the same") { try await client.status().jobs.isEmpty }
        await trainer.end()
        try await broker.end()
    }

    @Test(
        "what another home acknowledged is submitted again as another job, and stored once", .timeLimit(.minutes(5)))
    func acknowledgedElsewhere() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let jobs = try await leaveBehind(world, at: broker, labels: [4])
        let trainer = try world.trainer(at: broker, images: 32)
        do {
            let stranger = try await world.successor(at: broker, home: world.home("new"), kit: world.copiedKit())
            defer { stranger.close() }
            try await wait("they are done") {
                try await stranger.status().jobs.allSatisfy { $0.state == "\(WireJobState.inMailbox)" }
            }
            for job in try await stranger.session.status().job {
                await stranger.session.acknowledge(try #require(JobID(job.jobID)))
            }
            #expect(try await stranger.status().jobs.isEmpty)
        }
        let client = try await world.successor(at: broker)
        defer { client.close() }
        let before = try await client.release.jobs()
        #expect(before.count == jobs && before.allSatisfy { !$0.isSurfaced })
        let stored = try world.stored()
        let images = try client.images(at: RunWorld.digits, labels: [4])
        #expect(try await client.publish(images, cut: 500).published == images.count)
        #expect(try world.stored() == stored && stored.count == images.count)
        #expect(await client.exposure().worstReleases == 1)
        #expect(try await client.release.jobs().isEmpty)
        // Nothing is left to publish.
        #expect(try await client.publish(images, cut: 500).published == 0)
        await trainer.end()
        try await broker.end()
    }

    @Test("jobs that fail hold up none of the others, and the first of them is told", .timeLimit(.minutes(5)))
    func someFail() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let trainer = try world.trainer(at: broker, images: 32)
        let client = try world.client(at: broker)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        // Two that the trainer refuses, and that come first.
        for number in UInt8(1)...2 {
            var payload = WirePayload()
            payload.publishRequest.cut = 500
            payload.publishRequest.publicationID = [Data(repeating: number, count: 16)]
            payload.publishRequest.label = [99]
            payload.publishRequest.policy = .once
            _ = try await client.release.add(
                payload.encoded, kind: .publish, isRelease: true, client.credentials.poolKey(for: .train),
                Moment.now().wall,
                3_600_000, 0)
        }
        let jobs = 2 + (images.count + 7) / 8
        let error = try await clientError { _ = try await client.publish(images, cut: 500, chunk: 8) }
        #expect(error.code == .failed && error.message.contains("(and 1 more of \(jobs) jobs failed)"), "\(error)")
        #expect(try world.stored().count == images.count)
        #expect(try await client.release.jobs().isEmpty)
        #expect(try await client.publish(images, cut: 500).published == 0)
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

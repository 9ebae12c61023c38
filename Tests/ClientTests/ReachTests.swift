import Exchange
import Fabric
import Foundation
import Logging
import Observability
import Synchronization
import Testing
import Trust

@testable import CollaFuseClient

/// Brokers that are not there, or let nobody in, and workers that die: calls say so, wait, and end well.
@Suite(.serialized) struct ReachTests {
    /// What a call has told of why it waits.
    private final class Notes: Sendable {
        private let notes = Mutex<Set<String>>([])
        @Sendable func take(_ progress: ClientProgress) { notes.withLock { _ = $0.insert(progress.note) } }
        func contains(_ words: String) -> Bool { notes.withLock { $0.contains { $0.contains(words) } } }
    }

    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    @Test(.timeLimit(.minutes(5))) func aBrokerThatComesLater() async throws {
        let world = try RunWorld()
        let earlier = try await RunningBroker(world)
        try await earlier.end()
        let client = try world.client(endpoint: earlier.clients)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        let notes = Notes()
        let call = Task { try await client.publish(images, cut: 500, progress: notes.take) }
        let asking = Task { try await client.status() }
        try await wait("it says so") { notes.contains("no broker listens at \(earlier.clients)") }
        let broker = try await RunningBroker(world, at: earlier)
        let trainer = try world.trainer(at: broker, images: 32)
        #expect(try await call.value.published == images.count)
        #expect(try await asking.value.run == "digits")
        // Gone while nothing is under way, and back.
        try await broker.end()
        let again = try await RunningBroker(world, at: earlier)
        let more = try client.images(at: RunWorld.digits, labels: [5])
        #expect(try await client.publish(more, cut: 500).published == more.count)
        #expect(try world.stored().count == images.count + more.count)
        await trainer.end()
        try await again.end()
    }

    /// What no waiting mends ends every call, the later ones too.
    @Test(.timeLimit(.minutes(1))) func aLinkThatEnds() async throws {
        let world = try RunWorld()
        let client = try world.client(endpoint: "tcp://no!where:5000")
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        for _ in 0..<2 {
            let calls: [() async throws -> Void] = [
                { _ = try await client.publish(images, cut: 500) }, { _ = try await client.status() },
                { try await client.waitForBackbone(images: 1) },
            ]
            for call in calls {
                let error = try await clientError(call)
                #expect(error.code == .badSettings && error.message.contains("no!where"), "\(error)")
            }
        }
        // It is spooled all the same, and goes out from a client that names a broker.
        #expect(try await !client.release.jobs().isEmpty)
    }

    /// Without a broker a client still knows what is its own.
    @Test(.timeLimit(.minutes(1))) func theStatusOfAClientAlone() async throws {
        let world = try RunWorld()
        let client = try world.client()
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        let call = Task { try await client.publish(images, cut: 500, chunk: 64) }
        let jobs = (images.count + 63) / 64
        try await wait("it is spooled") { try await client.release.jobs().count == jobs }
        let status = try await client.status(waiting: .milliseconds(300))
        #expect(status.away?.contains("tcp://127.0.0.1:1") == true)
        #expect(status.exposure.releases == images.count && status.jobs.isEmpty && status.pool.isEmpty)
        #expect(status.spool.count == jobs && status.spool.reduce(0) { $0 + $1.images } == images.count)
        #expect(status.spool.allSatisfy { !$0.isDone && (0..<60).contains($0.ageSeconds) })
        for words in ["\(images.count) releases", "publish of 64 images", "to be sent", "no word from the broker"] {
            #expect(status.text.contains(words), "\(status.text)")
        }
        call.cancel()
        _ = await call.result
    }

    /// Each at the other's port: both are told what is wrong, and go on trying.
    @Test(.timeLimit(.minutes(1))) func theOtherSidesPort() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let client = try world.client(endpoint: broker.workers)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        let notes = Notes()
        let call = Task { try await client.publish(images, cut: 500, progress: notes.take) }
        try await wait("the client is told") { notes.contains("connect to the broker's port for clients") }
        let told = Lines()
        let logger = Logger(label: "worker") {
            StderrLogHandler(label: $0, isColoured: false) { told.add($0) }
        }
        let worker = try RunningWorker(world.trainerSettings(broker.clients, images: 32), logger: logger)
        try await wait("the worker is told") {
            told.all.filter { $0.contains("connect to the broker's port for workers") }.count >= 2
        }
        await worker.end()
        call.cancel()
        _ = await call.result
        try await broker.end()
    }

    @Test(.timeLimit(.minutes(5))) func aBrokerThatDoesNotKnowTheKeyYet() async throws {
        let world = try RunWorld()
        // The broker's folder is from before this client was added.
        let old = world.folder.appending(path: "old")
        try FileManager.default.copyItem(at: world.op.deploymentFolder, to: old)
        let now = Moment.now().wall
        try world.op.addNode(.client, name: .init("late"), now: now)
        let broker = try await RunningBroker(world, deployment: old)
        let trainer = try world.trainer(at: broker, images: 32)
        let client = try world.client("late", at: broker)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        let notes = Notes()
        let call = Task { try await client.publish(images, cut: 500, progress: notes.take) }
        try await wait("it says so") { notes.contains("does not know this client's key") }
        for name in ["roster.signed"] {
            let file = old.appending(path: name)
            try FileManager.default.removeItem(at: file)
            try FileManager.default.copyItem(at: world.op.deploymentFolder.appending(path: name), to: file)
        }
        #expect(try await call.value.published == images.count)
        await trainer.end()
        try await broker.end()
    }

    /// The worker that has a job dies without a word: another does it again, and nobody notices.
    @Test(.timeLimit(.minutes(5))) func aWorkerThatDies() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let trainer = try world.trainer(at: broker, images: 64)
        let client = try world.client(at: broker)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        _ = try await client.publish(images, cut: 500)
        _ = try await client.trainHead(on: images, cut: 500, settings: HeadTraining(images: 32, batch: 32))
        let first = try world.denoiser("denoiser-1", at: broker)
        try await client.waitForBackbone(images: 64)
        let call = Task { try await client.sample(SampleRequest(held: [4], perLabel: 8, cut: 500, steps: 500)) }
        try await wait("it works") { try await client.status().jobs.contains { $0.done > 0 } }
        await first.end()
        let second = try world.denoiser("denoiser-2", at: broker)
        let samples = try await call.value
        #expect(samples.count == 8 && samples.values.allSatisfy { abs($0) <= 1 })
        await second.end()
        await trainer.end()
        try await broker.end()
    }

    /// A call that is cancelled ends, whatever it waits for, and its job goes on when it is made again.
    @Test(.timeLimit(.minutes(5))) func cancelledCalls() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let client = try world.client(at: broker)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [4])
        // Before it began, and while it waits: there is no trainer.
        let early = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.publish(images, cut: 500, chunk: 16)
        }
        await #expect(throws: CancellationError.self) { try await early.value }
        let late = Task { try await client.publish(images, cut: 500, chunk: 16) }
        try await wait("they are there") { try await client.status().jobs.count == (images.count + 15) / 16 }
        late.cancel()
        await #expect(throws: CancellationError.self) { try await late.value }
        let asking = Task { try await client.waitForBackbone(images: 1) }
        asking.cancel()
        await #expect(throws: CancellationError.self) { try await asking.value }
        let trainer = try world.trainer(at: broker, images: 32)
        #expect(try await client.publish(images, cut: 500).published == images.count)
        #expect(try world.stored().count == images.count)
        await trainer.end()
        try await broker.end()
    }
}

import Exchange
import Foundation
import Safetensors
import Synchronization
import Testing
import Trust
import Wire

@testable import CollaFuseClient

/// Calls for samples that are broken off, and what they are drawn with: over real brokers and workers.
@Suite(.serialized) struct SampleTests {
    /// A client with a head, and a backbone that waits for denoisers.
    private struct Scene {
        let world: RunWorld
        let broker: RunningBroker
        let trainer: RunningWorker

        init(labels: [String] = (0..<10).map(String.init)) async throws {
            world = try RunWorld(labels: labels)
            broker = try await RunningBroker(world)
            trainer = try world.trainer(at: broker, images: 64)
        }

        func client(labels: [Int]? = [4]) async throws -> CollaFuseClient {
            let client = try world.client(at: broker)
            let images = try client.images(at: RunWorld.digits, labels: labels)
            _ = try await client.publish(images, cut: 500)
            _ = try await client.trainHead(on: images, cut: 500, settings: HeadTraining(images: 32, batch: 32))
            return client
        }

        func denoiser(for client: CollaFuseClient) async throws -> RunningWorker {
            let worker = try world.denoiser("denoiser-1", at: broker)
            try await client.waitForBackbone(images: 64)
            return worker
        }

        func end() async throws {
            await trainer.end()
            try await broker.end()
        }
    }

    private static let request = SampleRequest(held: [4], perLabel: 6, cut: 500, steps: 6, chunk: 2)

    private struct DiskFull: Error {}

    private static func files(_ world: RunWorld, _ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: world.home("north").appending(path: folder).path)
    }

    /// What the workers sent is there until the samples are saved, also for the next process.
    @Test(.timeLimit(.minutes(5))) func samplesThatWereNotSaved() async throws {
        let scene = try await Scene()
        let saved = Mutex<SampleSet?>(nil)
        do {
            let client = try await scene.client()
            defer { client.close() }
            let denoiser = try await scene.denoiser(for: client)
            await #expect(throws: DiskFull.self) {
                let failing: @Sendable (SampleSet) async throws -> Void = { set in
                    saved.withLock { $0 = set }
                    throw DiskFull()
                }
                _ = try await client.sample(Self.request, saving: failing)
            }
            await denoiser.end()
        }
        let first = try #require(saved.withLock { $0 })
        // Nobody is there to do it again.
        let client = try await scene.world.successor(at: scene.broker)
        defer { client.close() }
        #expect(try await client.status().spool.count == 3)
        let again = try await client.sample(Self.request)
        #expect(again.seed == first.seed && again.values == first.values && again.count == 6)
        for folder in ["spool", "results"] { #expect(try Self.files(scene.world, folder).isEmpty) }
        try await scene.end()
    }

    @Test(.timeLimit(.minutes(5))) func whatTheyAreDrawnWith() async throws {
        let scene = try await Scene()
        let client = try await scene.client()
        defer { client.close() }
        let denoiser = try await scene.denoiser(for: client)
        // Each call draws others, also one beside another.
        async let one = client.sample(Self.request)
        async let two = client.sample(Self.request)
        let sets = [try await one, try await two, try await client.sample(Self.request)]
        #expect(Set(sets.map(\.seed)).count == 3 && Set(sets.map(\.values)).count == 3)
        // With a seed that was told, the same.
        var named = Self.request
        named.seed = sets[0].seed
        let same = try await client.sample(named)
        #expect(zip(same.values, sets[0].values).allSatisfy { abs($0 - $1) < 1e-3 })
        // η reaches both halves: other noise, another sample.
        named.eta = 1
        let noisy = try await client.sample(named)
        #expect(zip(noisy.atCut, sets[0].atCut).contains { abs($0 - $1) > 0.1 } && noisy.values != sets[0].values)
        named.eta = 0
        // The head's own noise is not that of the seed that the workers know.
        named.sampler = .ddpm
        let ancestral = try await client.sample(named)
        let sampler = try HeadSampler(
            named, run: client.descriptor, cut: client.cut(500), home: client.heads)
        func finished(seed: UInt64) throws -> [Float] {
            var values: [Float] = []
            for chunk in sampler.chunks {
                let start = Int(chunk.first) * 64, end = start + chunk.labels.count * 64
                var archive = SafetensorsArchive(), answer = WirePayload()
                try archive.append(
                    .init(
                        name: "x", shape: [chunk.labels.count, 1, 8, 8], floats: Array(ancestral.atCut[start..<end])))
                answer.tensors = archive.encoded()
                values += try sampler.finish(chunk, answer, seed: seed).flatMap(\.final)
            }
            return values
        }
        func difference(_ values: [Float]) -> Float { zip(values, ancestral.values).map { abs($0 - $1) }.max() ?? 9 }
        #expect(try difference(finished(seed: client.release.headSeed(ancestral.seed))) < 1e-5)
        #expect(try difference(finished(seed: ancestral.seed)) > 0.1)
        await denoiser.end()
        try await scene.end()
    }

    /// A run without labels has samples all the same, and they are nobody else's.
    @Test(.timeLimit(.minutes(5))) func withoutLabels() async throws {
        let scene = try await Scene(labels: [])
        let client = try await scene.client(labels: nil)
        defer { client.close() }
        let denoiser = try await scene.denoiser(for: client)
        let set = try await client.sample(SampleRequest(held: [], perLabel: 3, cut: 500, steps: 6, chunk: 2))
        #expect(set.count == 3 && Set(set.labels) == [0])
        #expect(set.values.count == 3 * 64 && set.values.allSatisfy { $0.isFinite && abs($0) <= 1.5 })
        let out = scene.world.folder.appending(path: "out")
        try set.write(to: out)
        #expect(try FileManager.default.contentsOfDirectory(atPath: out.path) == ["samples.safetensors"])
        let images = try client.images(at: RunWorld.digits)
        try await client.writeGrid(set, beside: images, cut: 500, to: out.appending(path: "grid.png"))
        #expect(FileManager.default.fileExists(atPath: out.appending(path: "grid.png").path))
        await denoiser.end()
        try await scene.end()
    }

    /// A process that was stopped between telling the broker and forgetting the request leaves nothing that stands in the way.
    @Test(.timeLimit(.minutes(5))) func requestsThatAreOver() async throws {
        let scene = try await Scene()
        let client = try await scene.client()
        defer { client.close() }
        let calling = Task { try await client.sample(Self.request) }
        try await wait("they are there") { try await client.status().jobs.count == 3 }
        calling.cancel()
        await #expect(throws: CancellationError.self) { _ = try await calling.value }
        let jobs = try await client.release.jobs()
        #expect(jobs.count == 3)
        for job in jobs { try await client.session.cancel(job.job) }
        let told = try await clientError { _ = try await client.sample(Self.request) }
        #expect(told.code == .refused && told.message.contains("cancelled"), "\(told)")
        #expect(try await client.release.jobs().isEmpty)
        // One that was to be done by a moment that is past.
        var hurried = Self.request
        hurried.within = 0.2
        let tooLate = hurried
        let waiting = Task { try await client.sample(tooLate) }
        try await wait("they are there") { try await client.status().jobs.count == 3 }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { _ = try await waiting.value }
        try await Task.sleep(for: .milliseconds(250))
        let denoiser = try await scene.denoiser(for: client)
        #expect(try await client.sample(Self.request).count == 6)
        try await wait("what is left of the others is acknowledged") { try await client.status().jobs.isEmpty }
        #expect(try await client.release.jobs().isEmpty)
        await denoiser.end()
        try await scene.end()
    }
}

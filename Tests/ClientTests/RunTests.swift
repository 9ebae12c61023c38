import Chain
import Foundation
import Images
import Safetensors
import Synchronization
import Testing
import Wire

@testable import CollaFuseClient

/// A client's whole way in one process: real broker, trainer and denoising workers over CURVE, the real library.
@Suite(.serialized) struct RunTests {
    @Test(.timeLimit(.minutes(5))) func publishTrainSample() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let trainer = try world.trainer(at: broker)
        let first = try world.denoiser("denoiser-1", at: broker)
        let client = try world.client(at: broker)
        defer { client.close() }
        #expect(await client.exposure().text == "nothing has left this client")

        // Publish.
        let images = try client.images(at: RunWorld.digits, labels: [0, 1])
        #expect(images.count > 200 && images.labels == [0, 1])
        let done = Mutex<[Int]>([])
        let summary = try await client.publish(images, cut: 500, chunk: 50) { progress in
            done.withLock { $0.append(progress.done) }
        }
        #expect(summary.published == images.count && summary.images == images.count)
        #expect(done.withLock { $0.max() } == images.count)
        // One release each: n = 1, ζ_eff = ζ, and the figures of the closed form ᾱ_500 = cos²(…)/cos²(…).
        func cosine(_ u: Double) -> Double { pow(cos((u + 0.008) / 1.008 * .pi / 2), 2) }
        let alphaBar = cosine(0.5) / cosine(0)
        let snr = alphaBar / (1 - alphaBar)
        let exposure = summary.exposure
        #expect(exposure.images == images.count && exposure.releases == images.count)
        #expect(exposure.worstReleases == 1 && exposure.effectiveCut == 500)
        #expect(abs(exposure.decibels - 10 * log10(snr)) < 1e-6)
        #expect(abs(exposure.mu - 2 * (64 * snr).squareRoot()) < 1e-6)

        // The trainer has each image once, as this client's ledger says, and none of them as it is.
        let stored = try world.stored()
        #expect(Set(stored.map(\.id)).count == stored.count && stored.count == images.count)
        #expect(stored.allSatisfy { $0.cut == 500 } && Set(stored.map(\.label)) == [0, 1])
        let own = try await client.release.published(images.own(0..<images.count), at: 500).compactMap { $0 }
        #expect(Set(own) == Set(stored.map(\.values)))
        var noise: [Double] = []
        for (row, masked) in own.enumerated() {
            for (value, real) in zip(masked, try images.values([row])) {
                let signal: Double = alphaBar.squareRoot() * Double(real)
                noise.append((Double(value) - signal) / (1 - alphaBar).squareRoot())
            }
        }
        let mean = noise.reduce(0, +) / Double(noise.count)
        let variance = noise.reduce(0) { $0 + $1 * $1 } / Double(noise.count)
        #expect(abs(mean) < 0.04 && abs(variance - 1) < 0.06, "ε has mean \(mean), variance \(variance)")

        // Again: nothing is sent.
        let again = try await client.publish(images, cut: 500)
        #expect(again.published == 0 && again.images == images.count && again.exposure == exposure)
        #expect(try world.stored() == stored)
        // A part that overlaps with what was published: only what is new is sent, and said to be.
        let more = try client.images(at: RunWorld.digits, labels: [1, 2])
        let twos = try client.images(at: RunWorld.digits, labels: [2])
        #expect(try await client.publish(more, cut: 500).published == twos.count)

        // The pool, as the broker tells it.
        try await client.waitForBackbone(images: 512)
        let status = try await client.status()
        #expect(status.run == "digits" && status.backboneImages >= 512 && status.backboneVersion > 0)
        #expect(status.exposure.releases == images.count + twos.count && status.jobs.isEmpty)
        #expect(status.pool.contains { $0.role == "denoise" && $0.workers == 1 })
        #expect(status.text.contains("backbone version \(status.backboneVersion)"))

        // Train the head: nothing leaves. It goes on where it was.
        let before = await client.exposure()
        let settings = HeadTraining(images: 128, batch: 32)
        #expect(try await client.trainHead(on: images, cut: 500, settings: settings).images == 128)
        var longer = settings
        longer.images = 192
        let counts = Mutex<[Int]>([])
        _ = try await client.trainHead(on: images, cut: 500, settings: longer) { measured in
            counts.withLock { $0.append(measured.images) }
        }
        #expect(counts.withLock { $0 } == [192])
        #expect(await client.exposure() == before)

        // Sample.
        let request = SampleRequest(
            held: [0, 1], perLabel: 3, unseenPerLabel: 1, cut: 500, steps: 10, seed: 7, chunk: 4)
        let samples = try await client.sample(request)
        #expect(samples.labels == [0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        #expect(samples.values.count == 14 * 64 && samples.values.allSatisfy { abs($0) <= 1 })
        #expect(samples.versions == [status.backboneVersion])
        // The same on another worker, and cut into other jobs: a sample depends on neither.
        await first.end()
        let second = try world.denoiser("denoiser-2", at: broker)
        var other = request
        other.chunk = 14
        let same = try await client.sample(other)
        let difference = zip(samples.values, same.values).map { abs($0 - $1) }.max() ?? .infinity
        #expect(same.labels == samples.labels && difference < 1e-3, "\(difference)")
        other.seed = 8
        #expect(try await client.sample(other).values != same.values)
        #expect(await client.exposure() == before)

        // Previews on the way: of every sample, at its steps, and the samples are the same.
        let previews = Mutex<[SamplePreview]>([])
        var watched = request
        watched.previewEvery = 2
        let seen = try await client.sample(watched, preview: { preview in previews.withLock { $0.append(preview) } })
        #expect(seen.labels == samples.labels)
        #expect(zip(seen.values, samples.values).allSatisfy { abs($0 - $1) < 1e-3 })
        let shown = previews.withLock { $0 }
        #expect(!shown.isEmpty && shown.allSatisfy { $0.step == 2 || $0.step == 4 })
        for preview in shown {
            #expect(preview.values.count == preview.samples.count * 64 && preview.values.allSatisfy { abs($0) <= 1 })
            #expect(preview.labels == preview.samples.map { samples.labels[$0] })
            #expect(preview.timesteps.allSatisfy { $0 > 500 && $0 < 1000 })
        }
        let picture = world.folder.appending(path: "preview.png")
        try shown[0].write(to: picture)
        #expect(try Data(contentsOf: picture).starts(with: [0x89, 0x50, 0x4E, 0x47]))

        // A wish for too little time is answered, and what was asked for can be given up on the way.
        var hurried = request
        hurried.steps = 900
        hurried.perLabel = 200
        hurried.within = 0.01
        let late = try await clientError { _ = try await client.sample(hurried) }
        #expect(late.code == .failed && late.message.contains("allow more time"), "\(late)")
        hurried.within = nil
        let long = hurried
        let sampling = Task { try await client.sample(long) }
        try await wait("it is worked on") { try await client.status().jobs.contains { $0.done > 0 } }
        let given = try await client.cancelSampling()
        #expect(given > 1)
        let cancelled = try await clientError { _ = try await sampling.value }
        #expect(cancelled.code == .refused && cancelled.message.contains("cancelled"), "\(cancelled)")
        let after = try await client.status()
        #expect(after.jobs.isEmpty && after.pool.allSatisfy { $0.leased == 0 && $0.queued == 0 })
        #expect(try await client.cancelSampling() == 0)
        // The worker has room again.
        #expect(try await client.sample(request).labels == samples.labels)

        // Files.
        let out = world.folder.appending(path: "out")
        try samples.write(to: out)
        try await client.writeGrid(samples, beside: images, cut: 500, to: out.appending(path: "grid.png"))
        let held = try SafetensorsArchive(contentsOf: out.appending(path: "samples.safetensors"))
        #expect(try held.floats("images", shape: [6, 1, 8, 8]) == Array(samples.values.prefix(6 * 64)))
        #expect(try held.integers("labels") == [0, 0, 0, 1, 1, 1])
        let unseen = try SafetensorsArchive(contentsOf: out.appending(path: "unseen.safetensors"))
        #expect(try unseen.integers("labels") == [2, 3, 4, 5, 6, 7, 8, 9])
        #expect(try unseen.floats("at_cut", shape: [8, 1, 8, 8]).allSatisfy(\.isFinite))
        let png = try Data(contentsOf: out.appending(path: "grid.png"))
        #expect(png.starts(with: [0x89, 0x50, 0x4E, 0x47]) && png.count > 1000)
        // Nobody else can read any of it: neither the pictures nor what lies in the home.
        let heads = world.home("north").appending(path: "heads")
        #expect(try filesOthersCanReach(below: heads).seen.count > 3)
        for place in [out, world.home("north")] { #expect(try filesOthersCanReach(below: place).open.isEmpty) }
        #expect(try FileManager.default.attributesOfItem(atPath: picture.path)[.posixPermissions] as? Int == 0o600)

        // Nothing of it is left to do.
        #expect(try await client.release.jobs().isEmpty)
        for folder in ["spool", "results"] {
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: world.home("north").appending(path: folder).path)
                    .isEmpty)
        }
        await second.end()
        await trainer.end()
        try await broker.end()
    }

    /// Fresh masks are counted one by one, and the owner's limit holds for the whole call.
    @Test(.timeLimit(.minutes(5))) func theLimitStopsAllOfACall() async throws {
        let world = try RunWorld()
        let broker = try await RunningBroker(world)
        let trainer = try world.trainer(at: broker, images: 32)
        let client = try world.client(at: broker)
        defer { client.close() }
        let images = try client.images(at: RunWorld.digits, labels: [3])
        let low = try await clientError { _ = try await client.publish(images, cut: 100) }
        #expect(low.code == .limitReached && low.message.contains("limit of 3.0 dB"), "\(low)")
        // Two masks at −0.1 dB each pass 3 dB: neither of three epochs leaves, not even the first.
        let fresh = try await clientError {
            _ = try await client.publish(images, cut: 500, policy: .fresh(epochs: 3), chunk: 8)
        }
        #expect(fresh.code == .limitReached, "\(fresh)")
        #expect(await client.exposure().releases == 0)
        #expect(try await client.release.jobs().isEmpty)
        #expect(!FileManager.default.fileExists(atPath: world.folder.appending(path: "trainer/publications/x").path))
        #expect(try world.stored().isEmpty)
        // Two epochs are 2.9 dB.
        let two = try await client.publish(images, cut: 500, policy: .fresh(epochs: 2))
        #expect(two.published == 2 * images.count && two.exposure.worstReleases == 2 && two.exposure.effectiveCut < 500)
        #expect(try world.stored().count == 2 * images.count)
        await trainer.end()
        try await broker.end()
    }
}

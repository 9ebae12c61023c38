import Chain
import Foundation
import Sealing
import Sodium
import Testing
import Trust
import Wire

@testable import CollaFuseClient

struct MaskingTests {
    /// A home's masks hang on these derivations for ever: if this test fails, old homes would draw new masks.
    /// By Tests/Goldens/masking.py, which has a BLAKE2b and a ChaCha20 of its own.
    @Test("names, publication ids and masks are what they were")
    func golden() throws {
        struct Golden: Decodable {
            let key: [UInt8]
            let image: [Float]
            let shape: [Int]
            let run: String
            let cut: Int
            let mask: UInt32
            let name: String
            let publication: String
            let stream: String
            let forwardStream: String
        }
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Goldens/masking.json")
        let golden = try JSONDecoder().decode(Golden.self, from: Data(contentsOf: file))
        let key = try MaskingKey(SecretBytes(copying: golden.key))
        let image = key.name(ofImage: golden.image[...], shape: golden.shape)
        #expect(image.description == golden.name)
        let run = try #require([UInt8](hex: golden.run).flatMap { RunID($0) })
        let name = ReleaseName(image: image, run: run, cut: golden.cut, mask: golden.mask)
        #expect(key.publication(name).description == golden.publication)
        let direct = ReleaseRecord(name: name, parent: nil, snr: 1)
        #expect(try key.stream(for: direct, byteCount: 96).hex == golden.stream)
        let forward = ReleaseRecord(name: name, parent: .init(cut: 250, mask: 1), snr: 1)
        #expect(try key.stream(for: forward, byteCount: 96).hex == golden.forwardStream)
    }

    @Test("no two releases share noise: other image, cut, mask, run or way there, another ε")
    func distinctNoise() async throws {
        let key = try MaskingKey(SecretBytes.random(count: 32))
        var random = try SecureRandom()
        let images = (0..<4).map { _ in ImageID.random(using: &random) }
        let runs = (0..<2).map { _ in RunID.random(using: &random) }
        var streams: Set<[UInt8]> = []
        var count = 0
        for image in images {
            for run in runs {
                for cut in [1, 256, 500, 999] {
                    for mask in [UInt32(0), 1, 256] {
                        let name = ReleaseName(image: image, run: run, cut: cut, mask: mask)
                        let parents: [ReleaseRecord.Parent?] = [
                            nil, .init(cut: 1, mask: 0), .init(cut: 1, mask: 1), .init(cut: 2, mask: 0),
                        ]
                        for parent in parents {
                            streams.insert(
                                try key.stream(for: ReleaseRecord(name: name, parent: parent, snr: 1), byteCount: 16))
                            count += 1
                        }
                    }
                }
            }
        }
        #expect(streams.count == count)
    }

    @Test("ε is standard normal: mean, variance, Kolmogorov and Smirnov's distance, and no correlation between images")
    func statistics() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        // Images that differ in one value only: their masks must have nothing to do with one another.
        let images = try OwnImages(
            values: (0..<4000).flatMap { row in (0..<16).map { $0 == 0 ? Float(row) / 4000 : 0.25 } },
            shape: ReleaseScene.shape,
            labels: Array(repeating: nil, count: 4000))
        let job = try #require(try await scene.publish(release, images))
        let x = try floats(try await scene.opened(release, job).payload)
        let signal = Float(scene.schedule.alphaBar(500).squareRoot()),
            noise = Float(scene.schedule.noiseShare(500).squareRoot())
        let epsilon = zip(x, images.values).map { Double(($0 - signal * $1) / noise) }
        let n = Double(epsilon.count)
        let mean = epsilon.reduce(0, +) / n
        let variance = epsilon.reduce(0) { $0 + $1 * $1 } / n - mean * mean
        #expect(abs(mean) < 5 / n.squareRoot())
        #expect(abs(variance - 1) < 5 * (2 / n).squareRoot())
        var distance = 0.0
        for (index, value) in epsilon.sorted().enumerated() {
            let cumulative = erfc(-value / 2.0.squareRoot()) / 2
            distance = max(distance, abs(cumulative - Double(index) / n), abs(cumulative - Double(index + 1) / n))
        }
        // P(√n·D > 2.2) = 1.2e-4; the key is random, so this test fails by itself once in thousands of runs at most.
        #expect(distance * n.squareRoot() < 2.2)
        let neighbours = zip(epsilon, epsilon.dropFirst(16)).reduce(0) { $0 + $1.0 * $1.1 } / (n - 16)
        #expect(abs(neighbours) < 5 / n.squareRoot())
        let within = zip(epsilon, epsilon.dropFirst(1)).reduce(0) { $0 + $1.0 * $1.1 } / (n - 1)
        #expect(abs(within) < 5 / n.squareRoot())
    }

    @Test("a later cut noises the earlier release on: x_t = √r·x_ζ + √(1−r)·u, and nothing is charged")
    func forward() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let images = try OwnImages(
            values: (0..<16_000).map { Float(($0 * 7919) % 2001) / 1000 - 1 }, shape: ReleaseScene.shape,
            labels: Array(repeating: 1, count: 1000))
        let first = try #require(try await scene.publish(release, images, at: 400))
        let before = await release.exposure()
        let second = try #require(try await scene.publish(release, images, at: 600))
        #expect(await release.exposure() == before)
        let x = try floats(try await scene.opened(release, first).payload)
        let later = try floats(try await scene.opened(release, second).payload)
        let r = scene.schedule.alphaBar(600) / scene.schedule.alphaBar(400)
        let u = zip(later, x).map { (Double($0) - r.squareRoot() * Double($1)) / (1 - r).squareRoot() }
        let n = Double(u.count)
        #expect(abs(u.reduce(0, +) / n) < 5 / n.squareRoot())
        #expect(abs(u.reduce(0) { $0 + $1 * $1 } / n - 1) < 5 * (2 / n).squareRoot())
        // u has nothing to do with the image, nor with the first release's own ε.
        let signal = scene.schedule.alphaBar(400).squareRoot(), noise = scene.schedule.noiseShare(400).squareRoot()
        let epsilon = zip(x, images.values).map { (Double($0) - signal * Double($1)) / noise }
        #expect(abs(zip(u, epsilon).reduce(0) { $0 + $1.0 * $1.1 } / n) < 5 / n.squareRoot())
        #expect(abs(zip(u, images.values).reduce(0) { $0 + $1.0 * Double($1.1) } / n) < 5 / n.squareRoot())
    }

    @Test("a third cut goes on from the second, and an earlier one is a new release")
    func chain() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let images = try ReleaseScene.images(3)
        for cut in [500, 700, 900] { _ = try await scene.publish(release, images, at: cut) }
        #expect(await release.exposure().releases == 3)
        #expect(await release.exposure().effectiveCut == 500)
        let wider = try scene.open(scene.home("other"), limit: 20)
        for cut in [500, 700, 300] { _ = try await scene.publish(wider, images, at: cut) }
        let report = await wider.exposure()
        #expect(report.worstReleases == 2)
        let sum = scene.schedule.snr(500) + scene.schedule.snr(300)
        #expect(abs(report.worstDecibels - 10 * log10(sum)) < 1e-12)
    }

    @Test("the owner can see what was published, and only that")
    func published() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let images = try ReleaseScene.images(3)
        let job = try #require(try await scene.publish(release, images.rows([0, 2])))
        let sent = try await floats(scene.opened(release, job).payload)
        #expect(try await release.published(images, at: 500) == [Array(sent[..<16]), nil, Array(sent[16...])])
        #expect(try await release.published(images, at: 600) == [nil, nil, nil])
        #expect(await release.exposure().releases == 2)
    }

    @Test("fresh masks differ in every epoch, and each is charged")
    func fresh() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open(limit: 10)
        let images = try ReleaseScene.images(2)
        var seen: Set<[Float]> = []
        for epoch in UInt32(0)..<4 {
            let job = try #require(try await scene.publish(release, images, as: .fresh(epoch: epoch)))
            for x in try await scene.masked(release, job).values { seen.insert(x) }
        }
        #expect(seen.count == 8)
        #expect(await release.exposure().worstReleases == 4)
    }

    @Test("an image that comes twice, or under another name, is one image")
    func duplicates() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let images = try ReleaseScene.images(2)
        let twice = try OwnImages(
            values: images.values + images.values, shape: ReleaseScene.shape, labels: images.labels + images.labels)
        let job = try #require(try await scene.publish(release, twice))
        #expect(try await scene.masked(release, job).count == 2)
        #expect(await release.exposure().releases == 2)
    }

    @Test("a start from masked images is a release: charged, masked, and the same as the publication at that cut")
    func denoiseStart() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let images = try ReleaseScene.images(2)
        let published = try #require(try await scene.publish(release, images, at: 700))
        let before = await release.exposure()
        var request = WireDenoiseRequest()
        request.timestep = [700, 600, 500]
        request.cut = 500
        let job = try await release.denoise(request, from: images, to: scene.poolKey(.denoise), now: ReleaseScene.now)
        #expect(await release.exposure() == before)
        let x = try floats(try await scene.opened(release, job).payload, "x")
        #expect(try await x == floats(scene.opened(release, published).payload))
        let strangers = try ReleaseScene.images(1, from: 5)
        _ = try await release.denoise(request, from: strangers, to: scene.poolKey(.denoise), now: ReleaseScene.now)
        #expect(await release.exposure().images == 3)
        request.timestep = []
        #expect(
            await code {
                _ = try await release.denoise(request, from: images, to: scene.poolKey(.denoise), now: ReleaseScene.now)
            } == .badRequest)
    }
}

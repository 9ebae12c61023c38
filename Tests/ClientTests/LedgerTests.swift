import Chain
import Foundation
import Sodium
import Testing
import Trust
import Wire

@testable import CollaFuseClient

struct LedgerTests {
    /// The figures of docs/maths.md by their own formulas, for d = 16 values.
    @Test("n, ζ_eff, μ and ε are those of the closed forms")
    func figures() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open(limit: 10)
        let images = try ReleaseScene.images(3)
        for mask in UInt32(0)..<3 { _ = try await scene.publish(release, images, at: 600, as: .once(mask: mask)) }
        _ = try await scene.publish(release, ReleaseScene.images(1), at: 500)
        let report = await release.exposure(delta: 1e-5)
        #expect(report.images == 3)
        #expect(report.releases == 10)
        #expect(report.worstReleases == 4)
        let sum = 3 * scene.schedule.snr(600) + scene.schedule.snr(500)
        #expect(abs(report.worstDecibels - 10 * log10(sum)) < 1e-9)
        // One release at ζ_eff shows at least as much, one at ζ_eff + 1 less.
        #expect(scene.schedule.snr(report.effectiveCut) >= sum && scene.schedule.snr(report.effectiveCut + 1) < sum)
        #expect(abs(report.mu - 2 * (16 * sum).squareRoot()) < 1e-9)
        // δ(ε) = Φ(−ε/μ + μ/2) − e^ε·Φ(−ε/μ − μ/2)
        func phi(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }
        let (e, m) = (report.epsilon, report.mu)
        let delta = phi(-e / m + m / 2) - exp(e) * phi(-e / m - m / 2)
        #expect(abs(delta - 1e-5) < 1e-9)
    }

    @Test("past the owner's limit nothing leaves and nothing is entered; the message says which cut would do")
    func limit() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()  // 3 dB: two releases at 500 (−.13 dB each), not three
        let images = try ReleaseScene.images(2)
        _ = try await scene.publish(release, images, as: .fresh(epoch: 0))
        _ = try await scene.publish(release, images, as: .fresh(epoch: 1))
        let before = await release.exposure()
        let jobs = try await release.jobs().count
        let mixed = try ReleaseScene.images(4)  // two of them new: all or none
        #expect(await code { _ = try await scene.publish(release, mixed, as: .fresh(epoch: 2)) } == .limitReached)
        #expect(await release.exposure() == before)
        #expect(try await release.jobs().count == jobs)
        let text = await message { _ = try await scene.publish(release, images, as: .fresh(epoch: 2)) }
        let words = text.split(separator: " ")
        let place = try #require(words.lastIndex(of: "cut"))
        let cut = try #require(Int(words[place + 1]))
        let left = pow(10, 0.3) - 2 * scene.schedule.snr(500)
        #expect(scene.schedule.snr(cut) <= left && scene.schedule.snr(cut - 1) > left)
        // At 200 one release alone is past it.
        #expect(
            await code { _ = try await scene.publish(release, ReleaseScene.images(1, from: 9), at: 200) }
                == .limitReached)
    }

    @Test("the limit stays in the home until the owner gives another")
    func limitIsKept() async throws {
        let scene = try ReleaseScene()
        _ = try scene.open(limit: 7.5)
        #expect(abs(await (try scene.open()).exposure().limitDecibels - 7.5) < 1e-12)
        _ = try scene.open(limit: -2)
        #expect(abs(await (try scene.open()).exposure().limitDecibels + 2) < 1e-12)
        #expect(await code { _ = try scene.open(limit: .nan) } == .badSettings)
    }

    @Test("the ledger cut off at any byte of its last batch starts again, without that batch")
    func tornTail() async throws {
        let scene = try ReleaseScene()
        let home = scene.home()
        func open() throws -> Ledger {
            try Ledger(opening: home.appending(path: "ledger"), fingerprint: [1, 2], limit: nil, steps: StorageSteps())
        }
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        var random = try SecureRandom()
        let names = (0..<4).map { _ in ReleaseName(image: .random(using: &random), run: scene.run.id, cut: 500, mask: 0)
        }
        _ = try open().enter(Array(names[..<2]), on: scene.schedule)
        let first = try Data(contentsOf: home.appending(path: "ledger")).count
        _ = try open().enter(names, on: scene.schedule)
        let whole = try Data(contentsOf: home.appending(path: "ledger"))
        #expect(try open().exposure.releases == 4)
        for length in first..<whole.count {
            try whole.prefix(length).write(to: home.appending(path: "ledger"))
            let ledger = try open()
            #expect(ledger.exposure.releases == 2)
            _ = try ledger.enter(names, on: scene.schedule)
            #expect(try open().exposure.releases == 4)
            #expect(try Data(contentsOf: home.appending(path: "ledger")) == whole)
        }
        // A hole in the last batch, as a power cut may leave it.
        var hole = whole
        hole.replaceSubrange(first + 10..<first + 40, with: Data(count: 30))
        try hole.write(to: home.appending(path: "ledger"))
        #expect(try open().exposure.releases == 2)
    }

    @Test("a ledger damaged before its end, or of another key, is refused and not mended")
    func damage() async throws {
        let scene = try ReleaseScene()
        let home = scene.home()
        for cut in [500, 600] {
            let release = try scene.open()
            _ = try await scene.publish(release, ReleaseScene.images(1, from: cut), at: cut)
        }
        let file = home.appending(path: "ledger")
        let whole = try Data(contentsOf: file)
        let text = String(decoding: whole, as: UTF8.self)
        let firstRelease = try #require(text.range(of: "release")).lowerBound.utf16Offset(in: text)
        for offset in [firstRelease, firstRelease + 20, firstRelease + 130] {
            var damaged = whole
            damaged[offset] ^= 1
            try damaged.write(to: file)
            #expect(await code { _ = try scene.open() } == .storage, "byte \(offset)")
            #expect(try Data(contentsOf: file) == damaged)
        }
        try whole.write(to: file)
        _ = try scene.open()
        // A number changed in the last batch is no torn tail either.
        let changed = text.replacingOccurrences(of: " 600 0 ", with: " 601 0 ")
        try Data(changed.utf8).write(to: file)
        #expect(changed != text)
        #expect(await code { _ = try scene.open() } == .storage)
        try whole.write(to: file)
        try FileManager.default.removeItem(at: home.appending(path: "masking.key"))
        #expect(await message { _ = try scene.open() }.contains("masking.key is missing"))
        _ = try scene.open(scene.home("other"))
        try FileManager.default.copyItem(
            at: scene.home("other").appending(path: "masking.key"), to: home.appending(path: "masking.key"))
        #expect(await message { _ = try scene.open() }.contains("not the ledger of this home's masking key"))
    }

    @Test("a home whose ledger is gone is refused: it would forget what it gave away")
    func missing() async throws {
        let scene = try ReleaseScene()
        do { _ = try await scene.publish(scene.open(), ReleaseScene.images(1)) }
        try FileManager.default.removeItem(at: scene.home().appending(path: "ledger"))
        #expect(await message { _ = try scene.open() }.contains("ledger is missing"))
    }

    @Test(
        "lines read back as they were written",
        arguments: ["release a b", "commit", "", "stored zz", "limit -1", "limit inf"])
    func lines(bad: String) throws {
        var random = try SecureRandom()
        let name = ReleaseName(image: .random(using: &random), run: .random(using: &random), cut: 7, mask: 3)
        let lines: [LedgerLine] = [
            .limit(0.1 + 0.2), .stored(.random(using: &random)),
            .release(ReleaseRecord(name: name, parent: nil, snr: 1e-300)),
            .release(ReleaseRecord(name: name, parent: .init(cut: 1, mask: 2), snr: .pi)),
        ]
        for line in lines { #expect(LedgerLine(line.text) == line) }
        #expect(LedgerLine(bad) == nil)
    }
}

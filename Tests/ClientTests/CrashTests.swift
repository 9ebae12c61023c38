import Foundation
import Sodium
import Synchronization
import Testing
import Trust
import Wire

@testable import CollaFuseClient

/// A process dies at each moment between ledger and spool, again and again: there is one mask for each image, charged once.
struct CrashTests {
    /// Throws at the n-th step from the start.
    static func crash(at n: Int) -> StorageSteps {
        let count = Mutex(0)
        let counter = Counter(count)
        return StorageSteps { _ throws(ClientError) in
            if counter.next() == n { throw ClientError(.storage, "crash") }
        }
    }

    final class Counter: Sendable {
        private let value: Mutex<Int>
        init(_ value: consuming Mutex<Int>) { self.value = value }
        func next() -> Int {
            value.withLock { value in
                defer { value += 1 }
                return value
            }
        }
    }

    @Test("publishing, crashed at every step and begun again, gives the same masks and one charge")
    func publishing() async throws {
        let scene = try ReleaseScene()
        let images = try ReleaseScene.images(5)
        // What a life without crashes gives.
        let calm = scene.home("calm")
        var reference: [PublicationID: [Float]] = [:]
        var exposure: ExposureReport?
        do {
            let release = try scene.open(calm)
            for cut in [500, 700] {
                let job = try #require(try await scene.publish(release, images, at: cut))
                reference.merge(try await scene.masked(release, job)) { a, _ in a }
            }
            exposure = await release.exposure()
        }
        var crashes = 0
        for step in 0..<100 {
            let home = scene.home("home-\(step)")
            try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                at: calm.appending(path: "masking.key"), to: home.appending(path: "masking.key"))
            var crashed = false
            do {
                let release = try scene.open(home, steps: Self.crash(at: step))
                for cut in [500, 700] { _ = try await scene.publish(release, images, at: cut) }
            } catch {
                crashed = true
                #expect("\(error)" == "crash")
            }
            if !crashed { break }
            crashes += 1
            let release = try scene.open(home)
            for cut in [500, 700] { _ = try await scene.publish(release, images, at: cut) }
            var found: [PublicationID: [Float]] = [:]
            for job in try await release.jobs() {
                for (id, x) in try await scene.masked(release, job.job) {
                    #expect(found.updateValue(x, forKey: id) == nil, "published twice after a crash at step \(step)")
                }
            }
            #expect(found == reference, "other masks after a crash at step \(step)")
            #expect(await release.exposure() == exposure, "charged otherwise after a crash at step \(step)")
        }
        // limit, and for each cut: ledger (2), spool (3)
        #expect(crashes == 12)
    }

    @Test("surfacing and forgetting, crashed at every step, surfaces once and publishes nothing again")
    func surfacing() async throws {
        let scene = try ReleaseScene()
        let images = try ReleaseScene.images(3)
        var crashes = 0
        for step in 0..<100 {
            let home = scene.home("home-\(step)")
            let job: JobID
            let receipt: WirePayload
            do {
                let release = try scene.open(home)
                job = try #require(try await scene.publish(release, images))
                receipt = try scene.receipt(for: try await scene.opened(release, job))
            }
            var crashed = false
            do {
                let release = try scene.open(home, steps: Self.crash(at: step))
                try await release.surface(receipt, of: job)
                try await release.forget(job)
            } catch {
                crashed = true
            }
            if !crashed { break }
            crashes += 1
            let release = try scene.open(home)
            // Whatever was left: the broker sends the result again as long as the entry is there.
            for left in try await release.jobs() {
                #expect(left.job == job)
                try await release.surface(receipt, of: job)
                #expect(try await release.result(of: job) == receipt)
                try await release.forget(job)
            }
            #expect(try await scene.publish(release, images) == nil, "published again after a crash at step \(step)")
            #expect(try await release.jobs().isEmpty)
            let rest = try FileManager.default.contentsOfDirectory(atPath: home.appending(path: "spool").path)
            #expect(rest.isEmpty, "\(rest)")
        }
        #expect(crashes == 6)
    }

    @Test("a denoise result that was forgotten and not made use of is gone at the next start")
    func leftResult() async throws {
        let scene = try ReleaseScene()
        let results = scene.home().appending(path: "results")
        var request = WireDenoiseRequest()
        request.timestep = [1000, 500]
        var result = WirePayload()
        result.denoiseResult.modelVersion = 1
        do {
            let release = try scene.open()
            for isForgotten in [true, false] {
                request.seed += 1
                let job = try await release.denoise(request, to: scene.poolKey(.denoise), now: ReleaseScene.now)
                try await release.surface(result, of: job)
                if isForgotten { try await release.forget(job) }
            }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: results.path).count == 2)
        let release = try scene.open()
        let left = try await release.jobs()
        #expect(left.map(\.isSurfaced) == [true])
        #expect(try FileManager.default.contentsOfDirectory(atPath: results.path) == left.map { "\($0.job)" })
    }

    @Test("a process that is killed in the middle of filling an entry leaves nothing that is taken for one")
    func halfEntry() async throws {
        let scene = try ReleaseScene()
        let home = scene.home()
        do { _ = try await scene.publish(scene.open(), ReleaseScene.images(1)) }
        let spool = home.appending(path: "spool")
        let job = String(repeating: "0", count: 32)
        for name in ["\(job)-0.key", ".\(job)-0.release.7.1", ".\(job)-0.key.\(UUID()).new"] {
            try Data([1, 2]).write(to: spool.appending(path: name))
        }
        let release = try scene.open()
        #expect(try await release.jobs().count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: spool.path).count == 2)
    }
}

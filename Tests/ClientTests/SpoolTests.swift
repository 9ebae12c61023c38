import Foundation
import Sealing
import Sodium
import Testing
import Trust
import Wire

@testable import CollaFuseClient

struct SpoolTests {
    @Test("a publication goes to a worker and its receipt comes back; then there is nothing left to publish")
    func roundTrip() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let images = try ReleaseScene.images(4)
        let job = try #require(try await scene.publish(release, images))
        #expect(try await scene.publish(release, images) == nil)  // it is in the spool
        let opened = try await scene.opened(release, job)
        #expect(opened.payload.publishRequest.label == [0, 1, 0, 1])
        #expect(opened.payload.publishRequest.policy == .once)
        let opener = ResultOpener(deployment: scene.deployment)
        let answer = try scene.answer(scene.receipt(for: opened), to: opened)
        let receipt = try await release.open(
            answer.sealed, header: answer.header, of: job, by: opener, now: ReleaseScene.now)
        try await release.surface(receipt, of: job)
        #expect(try await release.jobs().map(\.isSurfaced) == [true])
        try await release.forget(job)
        #expect(try await release.jobs().isEmpty)
        #expect(try await scene.publish(release, images) == nil)  // it is stored
        let more = try ReleaseScene.images(5)
        let next = try #require(try await scene.publish(release, more))
        #expect(try await scene.masked(release, next).count == 1)
    }

    @Test("a receipt for other images, other values or another job is not accepted")
    func wrongReceipt() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let job = try #require(try await scene.publish(release, ReleaseScene.images(2)))
        let opened = try await scene.opened(release, job)
        let opener = ResultOpener(deployment: scene.deployment)
        let good = try scene.receipt(for: opened)
        var otherValue = good
        otherValue.publishReceipt.storedHash[1][0] ^= 1
        var swapped = good
        swapped.publishReceipt.publicationID.reverse()
        var short = good
        short.publishReceipt.publicationID.removeLast()
        short.publishReceipt.storedHash.removeLast()
        for bad in [otherValue, swapped, short] {
            let answer = try scene.answer(bad, to: opened)
            #expect(
                await code {
                    _ = try await release.open(
                        answer.sealed, header: answer.header, of: job, by: opener, now: ReleaseScene.now)
                } == .untrusted)
        }
        #expect(try await release.jobs().count == 1)
    }

    @Test("an answer to a job of another kind, or a preview in a result's place, is not accepted")
    func wrongKind() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let publish = try #require(try await scene.publish(release, ReleaseScene.images(2)))
        let receipt = try scene.receipt(for: try await scene.opened(release, publish))
        var request = WireDenoiseRequest()
        request.timestep = [1000, 500]
        let denoise = try await release.denoise(request, to: scene.poolKey(.denoise), now: ReleaseScene.now)
        var drawn = WirePayload()
        drawn.denoiseResult.modelVersion = 1
        var preview = WirePayload()
        preview.denoisePreview.step = 1
        var failure = WirePayload()
        failure.jobFailure.message = "no"
        let opener = ResultOpener(deployment: scene.deployment)
        func refusal(_ payload: WirePayload, _ job: JobID, _ status: WireResultStatus = .done) async throws -> String {
            let answer = try scene.answer(payload, to: try await scene.opened(release, job), status: status)
            return await message {
                _ = try await release.open(
                    answer.sealed, header: answer.header, of: job, by: opener, now: ReleaseScene.now)
            }
        }
        for (payload, job) in [(drawn, publish), (receipt, denoise), (preview, denoise), (WirePayload(), denoise)] {
            #expect(try await refusal(payload, job).contains("no answer to a job of its kind"))
        }
        #expect(try await refusal(drawn, denoise, .preview).contains("no answer to a job of its kind"))
        for (payload, job, status) in [
            (receipt, publish, .done), (drawn, denoise, .done), (preview, denoise, .preview),
            (failure, denoise, .failed),
        ] as [(WirePayload, JobID, WireResultStatus)] {
            #expect(try await refusal(payload, job, status) == "")
        }
    }

    @Test("a job named anew has the same bytes, and the old one is gone")
    func renewed() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let images = try ReleaseScene.images(2)
        let old = try #require(try await scene.publish(release, images))
        let masked = try await scene.masked(release, old)
        let new = try await release.renew(old, to: scene.poolKey(), now: ReleaseScene.now)
        #expect(try await release.jobs().map(\.job) == [new] && new != old)
        #expect(try await scene.masked(release, new) == masked)
        #expect(try await scene.publish(release, images) == nil)  // they are in the spool as before
        try await release.forget(new)
        #expect(try await scene.publish(release, images) != nil)
    }

    @Test("a home knows the jobs that it made, its own and no other's; heads draw with a seed of the home's own")
    func ownJobs() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open(), other = try scene.open(scene.home("other"))
        let job = try #require(try await scene.publish(release, ReleaseScene.images(1)))
        try await release.forget(job)
        var random = try SecureRandom()
        let chance = JobID.random(using: &random)
        #expect(await release.made(job))
        for (home, job) in [(other, job), (release, chance)] { #expect(await home.made(job) == false) }
        let seeds = (0..<100).map { release.headSeed($0) }
        #expect(Set(seeds + (0..<100).map { other.headSeed($0) } + (0..<100)).count == 300)
        #expect(seeds == (0..<100).map { release.headSeed($0) })
    }

    @Test("requests whose time is over are dropped; others, and those that are answered, are not")
    func overdue() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        var request = WireDenoiseRequest(), jobs: [JobID] = []
        request.timestep = [1000, 500]
        for deadline in [0, ReleaseScene.now - 1, ReleaseScene.now - 1, ReleaseScene.now - 1, ReleaseScene.now + 1] {
            request.deadlineMs = deadline
            jobs.append(try await release.denoise(request, to: scene.poolKey(.denoise), now: ReleaseScene.now - 10))
        }
        var result = WirePayload()
        result.denoiseResult.modelVersion = 1
        var failure = WirePayload()
        failure.jobFailure.message = "too late"
        try await release.surface(result, of: jobs[1])
        try await release.surface(failure, of: jobs[3])
        #expect(Set(try await release.dropOverdue(now: ReleaseScene.now)) == [jobs[2], jobs[3]])
        #expect(Set(try await release.jobs().map(\.job)) == [jobs[0], jobs[1], jobs[4]])
        #expect(try await release.result(of: jobs[3]) == nil)
    }

    @Test("what lies in the spool is sealed to the same bytes, by this process and the next")
    func sameBytes() async throws {
        let scene = try ReleaseScene()
        var before: [UInt8] = []
        var job: JobID?
        do {
            let release = try scene.open()
            let id = try #require(try await scene.publish(release, ReleaseScene.images(2)))
            let (envelope, sealed) = try await release.sealed(id, by: scene.sealer)
            before = envelope.bytes + sealed
            job = id
        }
        let release = try scene.open()
        let (envelope, sealed) = try await release.sealed(#require(job), by: scene.sealer)
        #expect(envelope.bytes + sealed == before)
    }

    @Test("a denoise job in the spool is found by its request")
    func requests() async throws {
        let scene = try ReleaseScene()
        var request = WireDenoiseRequest()
        request.seed = 5
        request.timestep = [1000, 500]
        let job = try await scene.open().denoise(request, to: scene.poolKey(.denoise), now: ReleaseScene.now)
        let found = try await scene.open().denoiseJobs()
        #expect(found.map(\.job) == [job] && found.map(\.request) == [request])
    }

    @Test("a new pool key gives the next generation of the same bytes")
    func reseal() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let job = try #require(try await scene.publish(release, ReleaseScene.images(2)))
        let before = try await scene.masked(release, job)
        let old = try await release.sealed(job, by: scene.sealer)
        try await release.reseal(job, to: scene.poolKey(), now: ReleaseScene.now + 5)
        let new = try await release.sealed(job, by: scene.sealer)
        #expect(new.envelope.generation == 1 && new.envelope.job == job)
        #expect(new.envelope.clientEphemeralKey != old.envelope.clientEphemeralKey)
        #expect(try await scene.masked(release, job) == before)
        let names = try FileManager.default.contentsOfDirectory(atPath: scene.home().appending(path: "spool").path)
        #expect(Set(names) == ["\(job)-1.release", "\(job)-1.key"])
        #expect(await code { try await release.reseal(job, to: scene.poolKey(.denoise), now: 0) } == .badRequest)
    }

    @Test("two generations left by a crash: the newer one stands")
    func twoGenerations() async throws {
        let scene = try ReleaseScene()
        let spool = scene.home().appending(path: "spool")
        var job: JobID?
        do {
            let release = try scene.open()
            let id = try #require(try await scene.publish(release, ReleaseScene.images(1)))
            job = id
            let kept = scene.folder.appending(path: "kept")
            try FileManager.default.copyItem(at: spool, to: kept)
            try await release.reseal(id, to: scene.poolKey(), now: ReleaseScene.now)
            for name in ["\(id)-0.release", "\(id)-0.key"] {
                try FileManager.default.copyItem(at: kept.appending(path: name), to: spool.appending(path: name))
            }
        }
        let release = try scene.open()
        #expect(try await release.sealed(#require(job), by: scene.sealer).envelope.generation == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: spool.path).count == 2)
    }

    @Test("a home is held by one process, and the message names it")
    func lock() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let text = await message { _ = try scene.open() }
        #expect(text.contains("in use by process \(ProcessInfo.processInfo.processIdentifier)"))
        _ = await release.exposure()
    }

    @Test("images, cuts and labels that are not the run's are refused, and nothing is entered")
    func refusals() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        let image = [Float](repeating: 0, count: 16)
        #expect(await code { _ = try OwnImages(values: image, shape: [1, 4, 5], labels: [0]) } == .badImages)
        #expect(
            await code { _ = try OwnImages(values: image.map { $0 + 1.5 }, shape: [1, 4, 4], labels: [0]) }
                == .badImages)
        #expect(
            await code { _ = try OwnImages(values: image.map { $0 + .nan }, shape: [1, 4, 4], labels: [0]) }
                == .badImages)
        let wide = try OwnImages(values: image, shape: [1, 2, 8], labels: [0])
        #expect(await code { _ = try await scene.publish(release, wide) } == .badImages)
        let odd = try OwnImages(values: image, shape: [1, 4, 4], labels: [2])
        #expect(await code { _ = try await scene.publish(release, odd) } == .badRequest)
        let good = try OwnImages(values: image, shape: [1, 4, 4], labels: [nil])
        for cut in [-1, 0, 1000, 5000] {
            #expect(await code { _ = try await scene.publish(release, good, at: cut) } == .badRequest)
        }
        #expect(await release.exposure().releases == 0)
        let job = try #require(try await scene.publish(release, good))
        #expect(try await scene.opened(release, job).payload.publishRequest.label == [2])  // "none"
    }

    @Test("a damaged entry is named and not sent")
    func damage() async throws {
        let scene = try ReleaseScene()
        var job: JobID?
        do { job = try await scene.publish(scene.open(), ReleaseScene.images(1)) }
        let entry = scene.home().appending(path: "spool/\(try #require(job))-0.release")
        let whole = try Data(contentsOf: entry)
        for place in [0, 40, 64, 65, 70, whole.count - 1] {
            var bytes = whole
            bytes[place] ^= 1
            try bytes.write(to: entry)
            #expect(await message { _ = try scene.open() }.contains(entry.path))
        }
        for length in [0, 31, 65, 66, whole.count - 1] {
            try whole.prefix(length).write(to: entry)
            #expect(await message { _ = try scene.open() }.contains(entry.path))
        }
        try whole.write(to: entry)
        #expect(try await scene.open().jobs().map(\.job) == [job])
    }

    /// What a loss of power may leave of files that were not flushed: no bytes, zeros in their place, or none of the file.
    @Test("a request that a loss of power tore is not there, and the others are")
    func tornRequest() async throws {
        let scene = try ReleaseScene()
        let spool = scene.home().appending(path: "spool")
        var request = WireDenoiseRequest()
        request.timestep = [1000, 500]
        let kept = try await scene.open().denoise(request, to: scene.poolKey(.denoise), now: ReleaseScene.now)
        for file in ["request", "key"] {
            for torn in [Data(), Data(count: 40), nil] {
                let job = try await scene.open().denoise(request, to: scene.poolKey(.denoise), now: ReleaseScene.now)
                let url = spool.appending(path: "\(job)-0.\(file)")
                if let torn { try torn.write(to: url) } else { try FileManager.default.removeItem(at: url) }
                #expect(try await scene.open().jobs().map(\.job) == [kept])
                #expect(try FileManager.default.contentsOfDirectory(atPath: spool.path).count == 2)
            }
        }
    }

    /// A crash between the moment at which a job's secret is overwritten and the one at which its entry is removed.
    @Test("an entry whose key was wiped is over; one whose key is damaged is named")
    func wiped() async throws {
        let scene = try ReleaseScene()
        let spool = scene.home().appending(path: "spool"), images = try ReleaseScene.images(1)
        let first = try await scene.publish(scene.open(), images)
        let key = spool.appending(path: "\(try #require(first))-0.key")
        let length = try Data(contentsOf: key).count
        for damaged in [Data(repeating: 7, count: length), Data(repeating: 7, count: 10)] {
            try damaged.write(to: key)
            #expect(await message { _ = try scene.open() }.contains("remove \(try #require(first))-0.release and"))
        }
        try Data(count: length).write(to: key)
        let release = try scene.open()
        #expect(try await release.jobs().isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: spool.path).isEmpty)
        #expect(try await scene.publish(release, images) != nil)
    }

    /// Neither are the ledger and the key behind links overwritten, nor a job of an earlier version forgotten.
    @Test(
        "what is no file of a spool is named, and stays",
        arguments: ["ledger.key", "0011-0.key", "notes.request", "\(String(repeating: "a", count: 32))-0", "a.b.c"])
    func strangers(name: String) async throws {
        let scene = try ReleaseScene()
        do { _ = try await scene.publish(scene.open(), ReleaseScene.images(1)) }
        let ledger = scene.home().appending(path: "ledger"), before = try Data(contentsOf: ledger)
        let stranger = scene.home().appending(path: "spool/\(name)")
        try FileManager.default.createSymbolicLink(at: stranger, withDestinationURL: ledger)
        #expect(await message { _ = try scene.open() }.contains("\(name) is no file of this version's spool"))
        #expect(try Data(contentsOf: ledger) == before)
        try FileManager.default.removeItem(at: stranger)
        #expect(try await scene.open().jobs().count == 1)
    }

    @Test("a key that is a link is removed, and what it points to is not overwritten")
    func linkedKey() async throws {
        let scene = try ReleaseScene()
        let home = scene.home()
        _ = try scene.open()
        let ledger = home.appending(path: "ledger"), before = try Data(contentsOf: ledger)
        let key = home.appending(path: "spool/\(String(repeating: "a", count: 32))-0.key")
        try FileManager.default.createSymbolicLink(at: key, withDestinationURL: ledger)
        _ = try scene.open()
        #expect(try Data(contentsOf: ledger) == before)
        #expect(try FileManager.default.contentsOfDirectory(atPath: home.appending(path: "spool").path).isEmpty)
    }

    @Test("what starts from images is a release, also under another name or generation; what starts from noise is none")
    func releases() async throws {
        let scene = try ReleaseScene()
        let release = try scene.open()
        func names() throws -> Set<String> {
            let all = try FileManager.default.contentsOfDirectory(atPath: scene.home().appending(path: "spool").path)
            return Set(all.filter { !$0.hasSuffix(".key") })
        }
        var request = WireDenoiseRequest()
        request.timestep = [500, 300]
        let poolKey = try scene.poolKey(.denoise)
        let shown = try await release.denoise(
            request, from: ReleaseScene.images(1), to: poolKey, now: ReleaseScene.now)
        let asked = try await release.denoise(request, to: poolKey, now: ReleaseScene.now)
        #expect(try names() == ["\(shown)-0.release", "\(asked)-0.request"])
        for job in [shown, asked] { try await release.reseal(job, to: poolKey, now: ReleaseScene.now) }
        #expect(try names() == ["\(shown)-1.release", "\(asked)-1.request"])
        let renamed = try await release.renew(shown, to: poolKey, now: ReleaseScene.now)
        #expect(try names() == ["\(renamed)-0.release", "\(asked)-1.request"])
    }
}

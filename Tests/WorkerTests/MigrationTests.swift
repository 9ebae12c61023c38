import Chain
import Diffusion
import Exchange
import Foundation
import Logging
import Sealing
import Sodium
import Synchronization
import Testing
import Torch
import Trust
import Wire

@testable import Workbench
@testable import Worker

/// Jobs that one worker begins and another ends, with real keys and a tiny random U-Net.
struct MigrationTests {
    private let scene: Scene

    init() throws {
        scene = try Scene()
        try publish(seed: 1)
    }

    private func publish(seed: UInt64, in scene: Scene? = nil) throws {
        let scene = scene ?? self.scene
        _ = try scene.registry().publish(
            Scene.denoiser(seed: seed, run: scene.run), imagesSeen: 100 * seed, lowestCut: 10, trainedLabels: [0, 1])
    }

    private func loop(
        slots: Int = 16, checkpoints: CheckpointSettings = .often, registry: ModelRegistry? = nil
    ) throws -> DenoiseLoop {
        DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try registry ?? scene.registry(), slots: slots,
            checkpoints: checkpoints, logger: Logger(label: "test"))
    }

    /// Runs the jobs and asks the worker to end after so many passes.
    private func interrupted(_ jobs: [SentJob], after passes: UInt64, slots: Int = 16) throws -> [WorkerCore.Command] {
        let loop = try loop(slots: slots, checkpoints: .never)
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        return try loop.work(answers: jobs.count) { [orders = loop.orders] command in
            if command.iterations == passes { orders.put(.stop) }
        }
    }

    private func resumed(_ jobs: [SentJob], slots: Int = 16) throws -> [WorkerCore.Command] {
        let loop = try loop(slots: slots)
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        return try loop.work(answers: jobs.count)
    }

    private func run(_ job: SentJob, slots: Int = 16) throws -> [Float] {
        try scene.samples(of: job, in: resumed([job], slots: slots))
    }

    static let samplers: [(WireSamplerKind, Double)] = [
        (.ddpm, 0), (.ddim, 0), (.ddim, 0.7), (.dpmSolver, 0), (.euler, 0), (.heun, 0),
    ]

    @Test("a job that moves ends as it would have, bit for bit, with every sampler", arguments: 0..<6, [1, 5, 7])
    func everySampler(sampler: Int, passes: UInt64) throws {
        let (kind, eta) = Self.samplers[sampler]
        // Two samples at a time: one is through, one on its way, one has not begun.
        let payload = try WirePayload.denoise(
            [0, 2, 1], to: 30, steps: 4, seed: 7, sampler: kind, eta: eta, guidance: kind == .ddpm ? 1.5 : 1)
        let first = try scene.send(payload)
        let before = try interrupted([first], after: passes, slots: 2)
        let moved = try scene.handedOn(first, by: before)
        let header = try #require(moved.checkpoint?.header)
        #expect(header.modelVersion == 1 && header.fence == first.fence && header.step > 0)
        let after = try resumed([moved], slots: 2)
        #expect(try scene.samples(of: moved, in: after) == run(scene.send(payload), slots: 2))
        // Nothing was done twice.
        let whole = try resumed([scene.send(payload)], slots: 2)
        let counts = [before, after, whole].map { $0.compactMap(\.iterations).last ?? 0 }
        #expect(counts[0] == passes && counts[0] + counts[1] == counts[2])
        #expect(try scene.answer(to: moved, in: after).denoiseResult.modelVersion == 1)
    }

    @Test(
        "what a self-conditioned network said last moves with the sample",
        arguments: [WireSamplerKind.ddim, .dpmSolver])
    func selfConditioned(kind: WireSamplerKind) throws {
        let scene = try Scene(selfConditioned: true)
        try publish(seed: 1, in: scene)
        let payload = try WirePayload.denoise([0, 1], to: 30, steps: 6, seed: 3, sampler: kind)
        let job = try scene.send(payload), other = try scene.send(payload)
        func loop() throws -> DenoiseLoop {
            DenoiseLoop(
                desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: 8,
                logger: Logger(label: "test"))
        }
        let first = try loop(), second = try loop(), whole = try loop()
        first.orders.put(.job(job.assignment()))
        let before = try first.work(answers: 1) { [orders = first.orders] command in
            if command.iterations == 2 { orders.put(.stop) }
        }
        let moved = try scene.handedOn(job, by: before)
        second.orders.put(.job(moved.assignment()))
        let after = try second.work(answers: 1)
        whole.orders.put(.job(other.assignment()))
        let expected = try scene.samples(of: other, in: whole.work(answers: 1))
        #expect(try scene.samples(of: moved, in: after) == expected)
        #expect(after.compactMap(\.iterations).last == 4)
    }

    @Test("who drains hands back everything: what runs, what waits, what came too late; without blame")
    func draining() throws {
        let running = try scene.send(.denoise([0, 1], to: 20, steps: 40)),
            other = try scene.send(.denoise(to: 20, steps: 30))
        let late = try scene.send(.denoise())
        let loop = try loop(checkpoints: .never)
        for job in [running, other] { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 3) { [orders = loop.orders] command in
            guard command.iterations == 3 else { return }
            orders.put(.stop)
            orders.put(.job(late.assignment()))
        }
        let codes = commands.compactMap { if case .nack(_, _, let code, _, _) = $0 { code } else { nil } }
        #expect(codes == [.draining, .draining, .draining])
        #expect(commands.compactMap(\.iterations).last == 3, "the pass that was under way is the last")
        #expect(commands.count(where: \.isCheckpoint) == 2)
        // Each checkpoint comes before its NACK, and nothing after it.
        for job in [running, other] {
            let about = commands.filter { $0.key == job.envelope.key }
            #expect(about.last?.isAnswer == true && about.dropLast().last?.isCheckpoint == true)
        }
    }

    @Test("checkpoints come every k passes, and a crash costs no more than those")
    func crash() throws {
        let payload = try WirePayload.denoise([0, 1], to: 20, steps: 30, seed: 3, sampler: .ddpm)
        let job = try scene.send(payload)
        let loop = try loop(checkpoints: CheckpointSettings(passes: 4, seconds: 0))
        loop.orders.put(.job(job.assignment()))
        // It crashes after 18 passes: nothing that it says then is heard.
        let heard = WorkQueue<WorkerCore.Command>(), crashed = Flag()
        _ = try loop.work(answers: 1) { [orders = loop.orders] command in
            if !crashed.isRaised { heard.put(command) }
            if command.iterations == 18 {
                crashed.raise()
                orders.put(.stop)
            }
        }
        let before = heard.takeAll()
        #expect(before.compactMap(\.checkpointStep) == [8, 16, 24, 32])
        let moved = try scene.handedOn(job, by: before)
        let after = try resumed([moved])
        #expect(try scene.samples(of: moved, in: after) == run(scene.send(payload)))
        // 16 of 30 were kept: two are done again, fewer than four.
        #expect(after.compactMap(\.iterations).last == 14)
    }

    @Test("whatever cost an earlier worker wrote down, the job goes on, or is over its ceiling", arguments: [0, 5_000])
    func extremeCost(ceiling: UInt64) throws {
        let job = try scene.send(.denoise([0, 1], to: 20, steps: 10, seed: 4), ceiling: ceiling)
        // The same request without a ceiling: it is not ended on the way.
        let plain = try scene.send(.denoise([0, 1], to: 20, steps: 10, seed: 4))
        let good = try scene.handedOn(plain, by: interrupted([plain], after: 5))
        let desk = try scene.desk(), header = try #require(good.checkpoint?.header)
        guard case .opened(let opened) = desk.open(plain.assignment()),
            case .opened(let target) = desk.open(job.assignment())
        else { throw Unexpected("a good job was refused") }
        var payload = try desk.open(#require(good.checkpoint), of: opened)
        payload.denoiseCheckpoint.cost = .max
        let command = try desk.checkpoint(payload, of: target, fence: job.fence, step: header.step, version: 1)
        let moved = try scene.handedOn(job, by: [command])
        let commands = try resumed([moved])
        if ceiling > 0 {
            #expect(try scene.answer(to: moved, in: commands).jobFailure.code == .overCeiling)
        } else {
            #expect(try scene.samples(of: moved, in: commands).count == 32)
        }
        let costs = commands.compactMap { if case .result(_, _, let cost, _, _) = $0 { cost } else { nil } }
        #expect(costs == [1 << 63])
    }

    @Test("a checkpoint that cannot be used costs its steps, and not the job")
    func unusable() throws {
        let payload = try WirePayload.denoise([0, 1], to: 20, steps: 10, seed: 4)
        let job = try scene.send(payload), stranger = try scene.send(.denoise([1, 1], to: 20, steps: 10, seed: 5))
        let commands = try interrupted([job, stranger], after: 5)
        let good = try scene.handedOn(job, by: commands), foreign = try scene.handedOn(stranger, by: commands)
        let whole = try run(job)
        let header = try #require(good.checkpoint?.header), sealed = try #require(good.checkpoint?.sealed)
        func with(_ header: CheckpointHeader, _ sealed: [UInt8]) -> SentJob {
            var changed = good
            changed.checkpoint = WorkerCore.Checkpoint(header: header, sealed: sealed)
            return changed
        }
        var flipped = sealed
        flipped[100] ^= 1
        let strangers = try #require(foreign.checkpoint)
        let bad = [
            with(header, flipped), with(header, []), with(header, Array(sealed.dropLast())),
            with(strangers.header, strangers.sealed),
            with(
                CheckpointHeader(fence: header.fence, step: header.step + 1, modelVersion: 1, worker: header.worker),
                sealed),
        ]
        for job in bad {
            let commands = try resumed([job])
            #expect(try scene.samples(of: job, in: commands) == whole)
            #expect(commands.compactMap(\.iterations).last == 10, "it begins anew")
        }
        #expect(try resumed([good]).compactMap(\.iterations).last == 5)
        // Of a version that is gone: anew, on the one that is there.
        try publish(seed: 2)
        try FileManager.default.removeItem(at: scene.folder.appending(path: "registry/v00000001"))
        let anew = try resumed([good])
        #expect(try scene.answer(to: good, in: anew).denoiseResult.modelVersion == 2)
        #expect(anew.compactMap(\.iterations).last == 10)
    }

    @Test(
        "of a job that is too large for a checkpoint those move that have come furthest, and it ends as it would have")
    func tooLarge() throws {
        let payload = try WirePayload.denoise(
            (0..<20).map { UInt32($0 % 3) }, to: 30, steps: 6, seed: 9, sampler: .dpmSolver)
        let whole = try run(scene.send(payload), slots: 8)
        let job = try scene.send(payload)
        let said = Mutex<[String]>([])
        let logger = Logger(label: "test") { _ in Listener { line in said.withLock { $0.append(line) } } }
        // Room for five samples or so.
        let settings = CheckpointSettings(passes: .max, bytes: 7_000)
        let first = DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: 8, checkpoints: settings,
            logger: logger)
        first.orders.put(.job(job.assignment()))
        // Eight are through, eight in their fourth pass.
        let before = try first.work(answers: 1) { [orders = first.orders] command in
            if command.iterations == 9 { orders.put(.stop) }
        }
        let moved = try scene.handedOn(job, by: before)
        let checkpoint = try #require(moved.checkpoint)
        #expect(checkpoint.sealed.count <= settings.bytes)
        let kept = Int(checkpoint.header.step) / 6
        #expect((2..<16).contains(kept) && checkpoint.header.step == UInt32(6 * kept), "the most passes first")
        let lines = said.withLock { $0 }.filter { $0.contains("too large to be written down whole") }
        #expect(lines.count == 1 && lines[0].contains("kept=\(kept)") && lines[0].contains("begun=16"), "\(lines)")
        let after = try resumed([moved], slots: 8)
        #expect(zip(try scene.samples(of: moved, in: after), whole).allSatisfy { abs($0 - $1) < 1e-4 })
        // 20 samples take 18 passes of eight; those that are through are not run again.
        #expect(after.compactMap(\.iterations).last ?? 99 <= 12)
    }

    @Test("a job goes on with the version it was begun with, two at most in memory; others wait and come to their end")
    func versions() throws {
        let payload = try WirePayload.denoise([0], to: 20, steps: 12, seed: 6)
        var jobs: [SentJob] = [], whole: [[Float]] = []
        for version in 1...3 {
            if version > 1 { try publish(seed: UInt64(version)) }
            let job = try scene.send(payload)
            jobs.append(try scene.handedOn(job, by: interrupted([job], after: 4)))
            whole.append(try run(scene.send(payload)))
        }
        #expect(jobs.compactMap(\.checkpoint?.header.modelVersion) == [1, 2, 3])
        let commands = try resumed(jobs)
        for (job, samples) in zip(jobs, whole) {
            #expect(zip(try scene.samples(of: job, in: commands), samples).allSatisfy { abs($0 - $1) < 1e-4 })
        }
        for (version, job) in zip(UInt64(1)..., jobs) {
            #expect(try scene.answer(to: job, in: commands).denoiseResult.modelVersion == version)
        }
        let inUse = commands.compactMap { if case .versionsInUse(let versions) = $0 { versions } else { nil } }
        #expect(inUse.allSatisfy { $0.count <= 2 } && inUse.last == [] && inUse.contains([1, 3]))
    }

    @Test("a job whose version waits for room can be cancelled, and is handed back by who drains")
    func parked() throws {
        let payload = try WirePayload.denoise([0], to: 20, steps: 12, seed: 6)
        var jobs: [SentJob] = []
        for version in 1...3 {
            if version > 1 { try publish(seed: UInt64(version)) }
            let job = try scene.send(payload)
            jobs.append(try scene.handedOn(job, by: interrupted([job], after: 4)))
        }
        let second = try scene.send(payload)
        let again = SentJob(
            envelope: jobs[1].envelope, sealed: jobs[1].sealed, ephemeral: jobs[1].ephemeral, poolKey: jobs[1].poolKey,
            fence: second.fence, checkpoint: jobs[1].checkpoint)
        for drains in [false, true] {
            let loop = try loop(checkpoints: .never)
            for job in [jobs[0], again] { loop.orders.put(.job(job.assignment())) }
            let commands = try loop.work(answers: drains ? 2 : 1) { [orders = loop.orders] command in
                guard command.iterations == 2 else { return }
                orders.put(drains ? .stop : .cancel(again.envelope.key, again.fence))
            }
            let about = commands.filter { $0.key == again.envelope.key }
            // The broker has its checkpoint still.
            #expect(about.count == (drains ? 1 : 0) && commands.count(where: \.isCheckpoint) == (drains ? 1 : 0))
        }
    }

    @Test("a job whose version waits for room is answered when its deadline passes, not when there is room")
    func parkedTooLong() throws {
        var jobs: [SentJob] = []
        for version in 1...3 {
            if version > 1 { try publish(seed: UInt64(version)) }
            var payload = try WirePayload.denoise([0], to: 20, steps: 80, seed: 6)
            if version == 2 { payload.denoiseRequest.deadlineMs = .now + 4_000 }
            let job = try scene.send(payload)
            jobs.append(try scene.handedOn(job, by: interrupted([job], after: 4)))
        }
        // The first runs for eight seconds, and with the newest version, the third, fills the shelf.
        let first = jobs[0], late = jobs[1]
        let loop = DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: 2, checkpoints: .never,
            logger: Logger(label: "test")
        ) { if case .pass = $0 { Thread.sleep(forTimeInterval: 0.1) } }
        for job in [first, late] { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 2) { [orders = loop.orders] command in
            if command.key == late.envelope.key, command.isAnswer { orders.put(.stop) }
        }
        #expect(try scene.answer(to: late, in: commands).jobFailure.code == .tooLate)
        let end = commands.last { $0.key == first.envelope.key }
        guard case .nack(_, _, .draining, _, _) = end else { throw Unexpected("it was answered after the first") }
    }

    @Test("the pace: k passes and the seconds, and the bytes have been paid for")
    func pace() {
        var pace = CheckpointPace(CheckpointSettings(passes: 3, seconds: 2, bytesPerSecond: 100))
        var mark = CheckpointPace.Mark(at: 10)
        #expect([11, 12, 12.5].map { pace.passed(&mark, at: $0) } == [false, false, true])
        pace.wrote(500, &mark, at: 12.5)
        // Another job pays, too: 500 bytes are five seconds.
        var other = CheckpointPace.Mark(at: 12)
        #expect([14, 15, 17, 17.5].map { pace.passed(&other, at: $0) } == [false, false, false, true])
        #expect([13, 13.5, 14].map { pace.passed(&mark, at: $0) } == [false, false, false])
        #expect(pace.passed(&mark, at: 17.5))
        // What takes a tenth of a second is done every five seconds at most: 2 %.
        pace.wrote(0, &mark, took: 0.1, at: 20)
        #expect([21, 22, 24.9, 25].map { pace.passed(&mark, at: $0) } == [false, false, false, true])
    }
}

/// Hands each line on, its metadata as `key=value`.
private struct Listener: LogHandler {
    let hear: @Sendable (String) -> Void
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.trace

    init(_ hear: @escaping @Sendable (String) -> Void) { self.hear = hear }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        hear("\(event.message) " + (event.metadata ?? [:]).map { "\($0)=\($1)" }.sorted().joined(separator: " "))
    }
}

/// Raised once.
private final class Flag: Sendable {
    private let raised = Mutex(false)

    var isRaised: Bool { raised.withLock { $0 } }
    func raise() { raised.withLock { $0 = true } }
}

extension CheckpointSettings {
    static let never = CheckpointSettings(passes: .max)
    static let often = CheckpointSettings(passes: 1, seconds: 0)
}

extension WorkerCore.Command {
    var isCheckpoint: Bool { checkpointStep != nil }
    var checkpointStep: UInt32? { if case .checkpoint(_, _, let step, _, _) = self { step } else { nil } }

    /// The job that it is about.
    var key: JobKey? {
        switch self {
        case .progress(let key, _, _, _), .checkpoint(let key, _, _, _, _), .preview(let key, _, _, _, _),
            .result(let key, _, _, _, _), .nack(let key, _, _, _, _):
            key
        default: nil
        }
    }
}

extension Scene {
    /// The job as the broker leases it after what this worker said of it: with its newest checkpoint, under the next fence.
    func handedOn(_ job: SentJob, by commands: [WorkerCore.Command]) throws -> SentJob {
        let author = WorkerID(of: try #require(worker.signing).publicKey)
        let checkpoint = commands.reversed().lazy.compactMap { command -> WorkerCore.Checkpoint? in
            guard case .checkpoint(job.envelope.key, let fence, let step, let version, let sealed) = command else {
                return nil
            }
            return WorkerCore.Checkpoint(
                header: CheckpointHeader(fence: fence, step: step, modelVersion: version, worker: author),
                sealed: sealed)
        }.first
        let newest: WorkerCore.Checkpoint = try #require(checkpoint, "there is no checkpoint of the job")
        return SentJob(
            envelope: job.envelope, sealed: job.sealed, ephemeral: job.ephemeral, poolKey: job.poolKey,
            fence: Fence(broker: job.fence.broker, bootEpoch: job.fence.bootEpoch, attempt: job.fence.attempt + 1),
            checkpoint: newest)
    }
}

import Chain
import Diffusion
import Exchange
import Foundation
import Logging
import Sodium
import Testing
import Torch
import Trust
import Wire

@testable import Workbench
@testable import Worker

/// The whole denoise loop with real keys and a tiny random U-Net; only the sockets are missing.
struct DenoiseLoopTests {
    private let scene: Scene

    init() throws { scene = try Scene() }

    private func loop(slots: Int = 16) throws -> DenoiseLoop {
        DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: slots,
            logger: Logger(label: "test"))
    }

    private func publish(seed: UInt64, lowestCut: Int = 10) throws {
        _ = try scene.registry().publish(
            Scene.denoiser(seed: seed, run: scene.run), imagesSeen: 100 * seed, lowestCut: lowestCut,
            trainedLabels: [0, 1])
    }

    private func run(_ jobs: [SentJob], slots: Int = 16) throws -> [WorkerCore.Command] {
        let loop = try loop(slots: slots)
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        return try loop.work(answers: jobs.count)
    }

    private func failure(_ job: SentJob, _ commands: [WorkerCore.Command]) throws -> WireJobFailure {
        let answer = try scene.answer(to: job, in: commands)
        guard case .jobFailure(let failure) = answer.head else { throw Unexpected("answered with \(answer)") }
        return failure
    }

    /// `Denoiser.sample` on the version's weights: no scheduler, no batching, no sealing.
    private func reference(_ payload: WirePayload, seed: UInt64) throws -> [Float] {
        let order = try DenoiseOrder(payload, run: scene.run)
        let plans = order.plans(lowestCut: 10), shape = [1, 4, 4]
        let start: ChainState
        if let x = order.start {
            start = try ChainState(
                received: Tensor(x.flatMap { $0 }, shape: [x.count] + shape), at: x.map { _ in order.timesteps.start },
                imageShape: shape)
        } else {
            start = ChainState(
                noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: shape, on: scene.run.schedule)
        }
        return try Scene.denoiser(seed: seed, run: scene.run).sample(from: start, plans).state.x.floats
    }

    /// Rows of a batch take other paths through the matrix kernels than a row alone: single precision, a few dozen steps.
    private func areAlike(_ a: [Float], _ b: [Float]) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= 2e-4 * max(1, abs($1)) }
    }

    private func variety() throws -> [WirePayload] {
        var started = try WirePayload.denoise([1, 0], from: 60, to: 30, steps: 6, seed: 5, sampler: .ddpm, clip: 0)
        started.tensors = try WirePayload.tensors("x", [2, 1, 4, 4], (0..<32).map { Float($0 % 7) / 4 - 0.7 })
        return try [
            .denoise([0, 1, 2], to: 50, steps: 5, seed: 1),
            .denoise([1], to: 20, steps: 12, seed: 1, sampler: .ddpm),
            .denoise([0, 0], to: 10, steps: 3, seed: 2, eta: 0.7, guidance: 3),
            .denoise([2], to: 99, steps: 1, seed: 3, sampler: .ddpm),
            .denoise([2, 0], to: 40, steps: 5, seed: 6, sampler: .dpmSolver),
            .denoise([0], to: 10, steps: 4, seed: 7, sampler: .heun, guidance: 2),
            .denoise([1], to: 30, steps: 4, seed: 7, sampler: .heun),
            .denoise([2], to: 30, steps: 7, seed: 7, sampler: .euler),
            .denoise([1, 1], to: 50, steps: 8, seed: 4, first: 1_000_000, guidance: 1.5, clip: 2),
            started,
        ]
    }

    @Test(
        "jobs of different cuts, steps, samplers and guidance in one batch give what each gives alone",
        arguments: [4, 32])
    func batching(slots: Int) throws {
        try publish(seed: 1)
        let payloads = try variety()
        let jobs = try payloads.map { try scene.send($0) }
        let commands = try run(jobs, slots: slots)
        let passes = try #require(commands.compactMap(\.iterations).last)
        let steps = payloads.reduce(0) { $0 + $1.denoiseRequest.label.count * ($1.denoiseRequest.timestep.count - 1) }
        #expect(payloads.filter { $0.denoiseRequest.sampler == .heun }.count == 2)
        #expect(passes < steps)
        // All of them fit: no more passes than the longest has steps.
        if slots == 32 { #expect(passes == 12) }
        for (payload, job) in zip(payloads, jobs) {
            let together = try scene.samples(of: job, in: commands)
            #expect(try areAlike(together, reference(payload, seed: 1)))
            let alone = try scene.send(payload)
            #expect(try areAlike(together, scene.samples(of: alone, in: run([alone]))))
            // The network has its say: after one step from pure noise the sample still is the noise.
            if payload.denoiseRequest.timestep.count > 2 {
                #expect(try !areAlike(together, reference(payload, seed: 2)))
            }
            let answer = try scene.answer(to: job, in: commands).denoiseResult
            #expect(answer.modelVersion == 1 && answer.imagesSeen == 100)
        }
        // Worker time is charged.
        for case .result(_, _, let cost, _, _) in commands { #expect(cost > 0) }
    }

    @Test("a cancelled job is heard of no more; a cancellation of another attempt changes nothing")
    func cancellation() throws {
        try publish(seed: 1)
        let long = try scene.send(.denoise(to: 20, steps: 80)), short = try scene.send(.denoise(to: 50, steps: 10))
        let last = try scene.send(.denoise(to: 50, steps: 2))
        let loop = try loop()
        loop.orders.put(.job(long.assignment()))
        loop.orders.put(.job(short.assignment()))
        let stranger = Fence(broker: short.fence.broker, bootEpoch: 1, attempt: 2)
        let commands = try loop.work(answers: 2) { [orders = loop.orders] command in
            if command.iterations == 3 {
                orders.put(.cancel(long.envelope.key, long.fence))
                orders.put(.cancel(short.envelope.key, stranger))
            }
            if case .result(short.envelope.key, _, _, _, _) = command { orders.put(.job(last.assignment())) }
        }
        _ = try scene.samples(of: short, in: commands)
        _ = try scene.samples(of: last, in: commands)
        #expect(commands.filter(\.isAnswer).count == 2)
        #expect(commands.compactMap(\.iterations).last == 12)
    }

    @Test("a newer attempt of a job ends the one before")
    func anotherAttempt() throws {
        try publish(seed: 1)
        let job = try scene.send(.denoise(to: 50, steps: 6))
        let again = SentJob(
            envelope: job.envelope, sealed: job.sealed, ephemeral: job.ephemeral, poolKey: job.poolKey,
            fence: Fence(broker: job.fence.broker, bootEpoch: 1, attempt: 2))
        let loop = try loop()
        loop.orders.put(.job(job.assignment()))
        let commands = try loop.work(answers: 1) { [orders = loop.orders] command in
            if command.iterations == 3 { orders.put(.job(again.assignment())) }
        }
        _ = try scene.samples(of: again, in: commands)
        #expect(commands.filter(\.isAnswer).count == 1)
        #expect(commands.compactMap(\.iterations).last == 9)
    }

    @Test func aSuspectRunsAlone() throws {
        try publish(seed: 1)
        let jobs = try (0..<3).map { try scene.send(.denoise(to: 50, steps: 4, seed: $0)) }
        let loop = try loop()
        for (index, job) in jobs.enumerated() { loop.orders.put(.job(job.assignment(alone: index == 1))) }
        let commands = try loop.work(answers: 3)
        for job in jobs { _ = try scene.samples(of: job, in: commands) }
        #expect(commands.compactMap(\.iterations).last == 12)
    }

    @Test("a job ends where it costs more than its envelope admits, sealed to its client, and is charged")
    func ceilings() throws {
        try publish(seed: 1)
        let long = try scene.send(.denoise(to: 20, steps: 80), ceiling: 1)
        let others = try [
            scene.send(.denoise(to: 50, steps: 12)), scene.send(.denoise(to: 50, steps: 12), ceiling: 3_600_000_000),
        ]
        let commands = try run([long] + others)
        for job in others { #expect(try scene.samples(of: job, in: commands).count == 16) }
        let failure = try failure(long, commands)
        #expect(failure.code == .overCeiling && failure.message.contains("1 µs"), "\(failure)")
        // It stopped after the pass that was too much.
        #expect(commands.compactMap(\.iterations).last == 12)
        for case .result(long.envelope.key, _, let cost, _, _) in commands { #expect(cost > 1) }
    }

    @Test func withoutABackboneJobsAreHandedBack() throws {
        let job = try scene.send(.denoise())
        let commands = try run([job])
        guard case .nack(job.envelope.key, job.fence, .busy, let message, let wait)? = commands.first(where: \.isAnswer)
        else {
            throw Unexpected("no NACK: \(commands)")
        }
        #expect(message.contains("no backbone") && wait > 0)
    }

    @Test("a backbone that is there when the loop starts is found by a job that waits")
    func firstJob() throws {
        try publish(seed: 1)
        let job = try scene.send(.denoise())
        let commands = try run([job])
        #expect(try scene.samples(of: job, in: commands).count == 16)
        #expect(commands.first?.model?.version == 1)
    }

    @Test("requests that cannot be done fail, sealed, and leave the others alone")
    func badRequests() throws {
        try publish(seed: 1, lowestCut: 40)
        var elsewhere = try WirePayload.denoise()
        elsewhere.denoiseRequest.timestep = [100, 60]
        let good = try scene.send(.denoise())
        let uncovered = try scene.send(.denoise(to: 39)), bad = try scene.send(elsewhere)
        var random = try SecureRandom()
        let foreign = try scene.send(.denoise(), run: RunID.random(using: &random))
        let publication = try scene.send(.publication([1]))
        let commands = try run([uncovered, good, bad, foreign, publication])
        _ = try scene.samples(of: good, in: commands)
        #expect(try failure(uncovered, commands).code == .cutNotCovered)
        #expect(try failure(uncovered, commands).message.contains("40"))
        #expect(try failure(bad, commands).code == .badRequest)
        #expect(try failure(foreign, commands).code == .badRequest)
        #expect(try failure(foreign, commands).message.contains(scene.runID.short))
        #expect(try failure(publication, commands).code == .badPayload)
    }

    @Test("guidance and unlabelled samples are refused where the backbone knows no none")
    func withoutARowForNone() throws {
        let scene = try Scene(rows: 2)
        _ = try scene.registry().publish(
            Scene.denoiser(seed: 1, run: scene.run), imagesSeen: 1, lowestCut: 10, trainedLabels: [0, 1])
        let loop = DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: 8,
            logger: Logger(label: "test"))
        let jobs = try [
            scene.send(.denoise([0, 1])), scene.send(.denoise([2])), scene.send(.denoise(guidance: 2)),
        ]
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 3)
        #expect(try scene.samples(of: jobs[0], in: commands).count == 32)
        for job in jobs[1...] { #expect(try scene.answer(to: job, in: commands).jobFailure.code == .badRequest) }
    }

    @Test("jobs that cannot be opened are answered: to the client if possible, else to the broker")
    func unopened() throws {
        try publish(seed: 1)
        var damaged = try scene.send(.denoise())
        damaged.sealed[60] ^= 1
        var short = try scene.send(.denoise())
        short.sealed = Array(short.sealed.prefix(10))
        let forged = try scene.send(.denoise(), from: scene.client, signedBy: scene.other)
        let stale = try scene.send(.denoise(), expires: .now - 1)
        let strange = try scene.sendToStrangers(.denoise())
        let good = try scene.send(.denoise(), from: scene.other)
        let commands = try run([damaged, short, forged, stale, strange, good])
        _ = try scene.samples(of: good, in: commands)
        #expect(try failure(damaged, commands).code == .badPayload)
        #expect(try failure(short, commands).code == .badPayload)
        #expect(try failure(forged, commands).code == .badSignature)
        #expect(try failure(stale, commands).message.contains("expired"))
        let handedBack = commands.compactMap { command -> (JobKey, WireCode)? in
            if case .nack(let key, _, let code, _, _) = command { (key, code) } else { nil }
        }
        #expect(
            handedBack.count == 1 && handedBack.first?.0 == strange.envelope.key
                && handedBack.first?.1 == .unknownPoolKey)
    }

    @Test("samples keep the version they began with when a newer one appears")
    func pinning() throws {
        try publish(seed: 1)
        let first = try WirePayload.denoise([0, 1], to: 30, steps: 30, seed: 8),
            second = try WirePayload.denoise([1], to: 30, steps: 6, seed: 9)
        let old = try scene.send(first), new = try scene.send(second)
        let loop = try loop(), registry = try scene.registry(), run = scene.run
        loop.orders.put(.job(old.assignment()))
        let commands = try loop.work(answers: 2) { [orders = loop.orders] command in
            if command.iterations == 3 {
                do {
                    _ = try registry.publish(
                        Scene.denoiser(seed: 2, run: run), imagesSeen: 200, lowestCut: 20, trainedLabels: [0])
                } catch {
                    Issue.record(error)
                }
                // The loop looks again after half a second.
                Thread.sleep(forTimeInterval: 0.6)
            }
            if command.model?.version == 2 { orders.put(.job(new.assignment())) }
        }
        #expect(commands.compactMap(\.model?.version) == [1, 2])
        #expect(try scene.answer(to: old, in: commands).denoiseResult.modelVersion == 1)
        #expect(try scene.answer(to: new, in: commands).denoiseResult.modelVersion == 2)
        #expect(try areAlike(scene.samples(of: old, in: commands), reference(first, seed: 1)))
        #expect(try areAlike(scene.samples(of: new, in: commands), reference(second, seed: 2)))
        // The newer job was through while the older still ran.
        guard case .result(new.envelope.key, _, _, _, _)? = commands.first(where: \.isAnswer) else {
            throw Unexpected("the old job came first")
        }
    }
}

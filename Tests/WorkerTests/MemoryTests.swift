import Chain
import Diffusion
import Exchange
import Foundation
import Logging
import Sealing
import Synchronization
import Testing
import Torch
import Trust
import Wire

@testable import Workbench
@testable import Worker

/// libtorch finds no memory, wherever it is asked for some: the worker lives, and nobody but the job that is at fault notices.
struct MemoryTests {
    private let scene: Scene

    init() throws {
        scene = try Scene()
        _ = try scene.registry().publish(
            Scene.denoiser(seed: 1, run: scene.run), imagesSeen: 100, lowestCut: 10, trainedLabels: [0, 1])
    }

    /// - Parameter fails: which piece of work is refused the memory of a real operation of libtorch's, which traps outside of a scope.
    private func loop(
        slots: Int = 16, checkpoints: CheckpointSettings = .never,
        failing fails: @escaping @Sendable (DenoiseWork) -> Bool
    ) throws -> DenoiseLoop {
        DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: slots,
            checkpoints: checkpoints, logger: Logger(label: "test"),
            will: { if fails($0) { _ = Tensor.zeros([1 << 50]) } })
    }

    private func codes(_ commands: [WorkerCore.Command]) -> [WireCode] {
        commands.compactMap { if case .nack(_, _, let code, _, _) = $0 { code } else { nil } }
    }

    @Test("a result that cannot be made goes to another worker; the other jobs of the batch end as they would")
    func result() throws {
        let jobs = try (0..<3).map { try scene.send(.denoise([0], to: 30, steps: 5, seed: $0)) }
        let results = Mutex(0)
        let loop = try loop { work in
            work == .result
                && results.withLock { count in
                    count += 1
                    return count == 2
                }
        }
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 3)
        #expect(codes(commands) == [.outOfMemory])
        #expect(try scene.samples(of: jobs[0], in: commands).count == 16)
        #expect(try scene.samples(of: jobs[2], in: commands).count == 16)
        // It takes new ones: nothing of the failure is left.
        let inUse = commands.compactMap { if case .versionsInUse(let versions) = $0 { versions } else { nil } }
        #expect(inUse.last == [])
    }

    @Test("previews and checkpoints that cannot be made are left out", arguments: [DenoiseWork.preview, .checkpoint])
    func extras(work: DenoiseWork) throws {
        var payload = try WirePayload.denoise([0, 1], to: 30, steps: 6, seed: 3)
        payload.denoiseRequest.previewEvery = 1
        let job = try scene.send(payload)
        let loop = try loop(checkpoints: .often) { $0 == work }
        loop.orders.put(.job(job.assignment()))
        let commands = try loop.work(answers: 1)
        #expect(try scene.samples(of: job, in: commands).count == 32)
        let previews = commands.count { if case .preview = $0 { true } else { false } }
        #expect(previews == (work == .preview ? 0 : 5))
        #expect(commands.contains { $0.isCheckpoint } == (work == .preview))
    }

    @Test("a version that finds no memory is not broken: the worker lives and tries again later")
    func loading() throws {
        let job = try scene.send(.denoise([0], to: 30, steps: 5))
        let loads = Mutex(0)
        let loop = try loop { work in
            guard case .load = work else { return false }
            loads.withLock { $0 += 1 }
            return true
        }
        loop.orders.put(.job(job.assignment()))
        let commands = try loop.work(answers: 1)
        #expect(codes(commands) == [.busy] && loads.withLock { $0 } == 1)
    }

    @Test("a checkpoint for which there is no memory is not lost: another worker goes on with it")
    func resuming() throws {
        let job = try scene.send(.denoise([0, 1], to: 30, steps: 8, seed: 4))
        let first = try loop { _ in false }
        first.orders.put(.job(job.assignment()))
        let before = try first.work(answers: 1) { [orders = first.orders] in
            if $0.iterations == 3 { orders.put(.stop) }
        }
        let moved = try scene.handedOn(job, by: before)
        let second = try loop { $0 == .resume }, third = try loop { _ in false }
        second.orders.put(.job(moved.assignment()))
        #expect(try codes(second.work(answers: 1)) == [.outOfMemory])
        third.orders.put(.job(moved.assignment()))
        #expect(try third.work(answers: 1).compactMap(\.iterations).last == 5)
    }

    @Test("a job for which there is no memory even alone is handed on twice, and then its client hears why")
    func alone() throws {
        let loop = try loop { work in if case .pass = work { true } else { false } }
        var jobs: [SentJob] = []
        for failures in 0..<3 {
            let job = try scene.send(.denoise([0, 1], to: 30, steps: 5, guidance: 2))
            var assignment = job.assignment(alone: true)
            assignment.memoryFailures = failures
            loop.orders.put(.job(assignment))
            jobs.append(job)
        }
        // Beside others it is not known whose fault it is, however often.
        let beside = try scene.send(.denoise([0], to: 30, steps: 5))
        var assignment = beside.assignment()
        assignment.memoryFailures = 9
        loop.orders.put(.job(assignment))
        let commands = try loop.work(answers: 4)
        #expect(codes(commands) == [.outOfMemory, .outOfMemory, .outOfMemory])
        let failure = try scene.answer(to: jobs[2], in: commands).jobFailure
        #expect(failure.code == .noMemory && failure.message.contains("3 times"))
    }

    @Test("passes become as narrow as one sample before a job is given up, and wide again when all is well")
    func narrowAndWide() throws {
        let widths = Mutex<[Int]>([])
        let loop = try loop(slots: 8) { work in
            guard case .pass(let width) = work else { return false }
            return widths.withLock { seen in
                seen.append(width)
                // For the first dozen passes there is room for one input.
                return seen.count < 12 && width > 1
            }
        }
        let jobs = try (0..<8).map { try scene.send(.denoise([0], to: 10, steps: 40, seed: $0)) }
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 8)
        for job in jobs { #expect(try scene.samples(of: job, in: commands).count == 16) }
        let seen = widths.withLock { $0 }
        #expect(seen.prefix(4) == [8, 4, 2, 1] && seen.max() == 8)
        #expect(seen.dropFirst(4).contains { $0 > 1 })
    }

    @Test("noise is drawn when a sample has its first pass, not when its job comes")
    func samplesBeginOneByOne() throws {
        let balances = Mutex<[Int]>([])
        let loop = try loop(slots: 4) { work in
            if case .pass = work { balances.withLock { $0.append(Runtime.tensorBalance) } }
            return false
        }
        let job = try scene.send(.denoise((0..<300).map { $0 % 3 }, to: 50, steps: 2))
        loop.orders.put(.job(job.assignment()))
        #expect(try scene.samples(of: job, in: loop.work(answers: 1)).count == 300 * 16)
        // The network has some 60 parameters.
        #expect(try #require(balances.withLock { $0.first }) < 150)
    }
}

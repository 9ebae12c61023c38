import Chain
import Diffusion
import Exchange
import Foundation
import Logging
import Safetensors
import Sealing
import Sodium
import Synchronization
import Testing
import Torch
import Trust
import Wire

@testable import Workbench
@testable import Worker

/// What passes are made of and what becomes of them: how wide, for whom, and when they fail.
struct PassTests {
    private let scene: Scene

    init() throws {
        scene = try Scene()
        _ = try scene.registry().publish(
            Scene.denoiser(seed: 1, run: scene.run), imagesSeen: 100, lowestCut: 10, trainedLabels: [0, 1])
    }

    private func loop(
        slots: Int = 16, _ willRun: @escaping @Sendable (Int) throws -> Void = { _ in }
    ) throws -> DenoiseLoop {
        DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: slots,
            logger: Logger(label: "test"),
            will: { if case .pass(let width) = $0 { try willRun(width) } })
    }

    private func run(_ jobs: [SentJob], slots: Int = 16) throws -> [WorkerCore.Command] {
        let loop = try loop(slots: slots)
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        return try loop.work(answers: jobs.count)
    }

    // MARK: previews

    @Test("a client has so many bytes of previews a second, however many jobs it has")
    func previewPace() throws {
        var pace = PreviewPace(), random = try SecureRandom()
        let one = ClientID.random(using: &random), two = ClientID.random(using: &random)
        var sent = 0
        // 100 jobs of one client, a pass every 10 ms.
        for pass in 0..<200 {
            for _ in 0..<100 where pace.maySend(to: one, at: Double(pass) / 100) {
                pace.sent(100_000, to: one, at: Double(pass) / 100)
                sent += 100_000
            }
        }
        #expect((8_000_000...10_000_000).contains(sent), "4 MiB a second for two seconds, and a quarter ahead")
        #expect(!pace.maySend(to: one, at: 1.9) && pace.maySend(to: two, at: 1.9))
        #expect(pace.maySend(to: one, at: 3))
    }

    @Test("previews come every k passes, sealed for the client, of x̂_0; a result they are not")
    func previews() throws {
        var payload = try WirePayload.denoise([0, 1, 2], to: 30, steps: 7, seed: 3)
        payload.denoiseRequest.previewEvery = 3
        let job = try scene.send(payload), other = try scene.send(.denoise([1], to: 30, steps: 7, seed: 9))
        let commands = try run([job, other], slots: 3)
        var seen: [[UInt32]] = []
        for command in commands {
            guard case .preview(let key, let fence, let step, let bytes, let sealed) = command else { continue }
            #expect(key == job.envelope.key && fence == job.fence)
            let header = try ResultHeader(bytes: bytes)
            #expect(header.status == .preview)
            let preview = try ResultOpener(deployment: scene.deployment).open(
                sealed, header: header, envelope: job.envelope, ephemeral: job.ephemeral, poolKey: job.poolKey,
                now: .now)
            let head = preview.denoisePreview
            #expect(head.step == step && head.sample.count == head.timestep.count)
            let x0 = try SafetensorsArchive(decoding: preview.tensors).floats(
                "x0", shape: [head.sample.count, 1, 4, 4])
            // Clipped, which x_t is not.
            #expect(x0.allSatisfy { abs($0) <= 1 })
            for (sample, timestep) in zip(head.sample, head.timestep) {
                #expect(timestep == payload.denoiseRequest.timestep[Int(step)])
                seen.append([sample, step])
            }
        }
        #expect(
            seen.sorted { $0.lexicographicallyPrecedes($1) } == [[0, 3], [0, 6], [1, 3], [1, 6], [2, 3], [2, 6]])
        // They change nothing.
        var without = payload
        without.denoiseRequest.previewEvery = 0
        let plain = try scene.send(without), again = try scene.send(.denoise([1], to: 30, steps: 7, seed: 9))
        let samples = try scene.samples(of: plain, in: run([plain, again], slots: 3))
        #expect(try scene.samples(of: job, in: commands) == samples)
    }

    // MARK: deadlines and priorities

    @Test("a job that cannot be there in time is ended with words to its client, and leaves room for others")
    func deadlines() throws {
        func wanted(in milliseconds: Int64, steps: Int) throws -> SentJob {
            var payload = try WirePayload.denoise([0], to: 10, steps: steps, seed: 1)
            payload.denoiseRequest.deadlineMs = .now + milliseconds
            return try scene.send(payload)
        }
        let passed = try wanted(in: -1_000, steps: 3), easy = try wanted(in: 60_000, steps: 3)
        // 90 passes of 20 ms and more.
        let hopeless = try wanted(in: 700, steps: 90), without = try scene.send(.denoise([0], to: 10, steps: 90))
        let loop = try loop { _ in Thread.sleep(forTimeInterval: 0.02) }
        for job in [passed, hopeless, easy, without] { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 4)
        for job in [passed, hopeless] {
            let failure = try scene.answer(to: job, in: commands).jobFailure
            #expect(failure.code == .tooLate && failure.message.contains("allow more time"))
        }
        #expect(try scene.answer(to: hopeless, in: commands).jobFailure.message.contains("of 90 steps"))
        for job in [easy, without] { #expect(try scene.samples(of: job, in: commands).count == 16) }
        // Not run to its end.
        let order = commands.filter(\.isAnswer).compactMap(\.key)
        #expect(order.firstIndex(of: hopeless.envelope.key) ?? 9 < order.firstIndex(of: without.envelope.key) ?? 0)
    }

    @Test("a deadline may be any number")
    func extremeDeadlines() throws {
        let jobs = try [Int64.min, -1, .max - 1, .max].map { deadline in
            var payload = try WirePayload.denoise([0], to: 50, steps: 3, seed: 1)
            payload.denoiseRequest.deadlineMs = deadline
            return try scene.send(payload)
        }
        // Slow enough that deadlines are looked at while they run.
        let loop = try loop { _ in Thread.sleep(forTimeInterval: 0.3) }
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 4)
        for job in jobs[..<2] { #expect(try scene.answer(to: job, in: commands).jobFailure.code == .tooLate) }
        for job in jobs[2...] { #expect(try scene.samples(of: job, in: commands).count == 16) }
    }

    // MARK: memory; see also MemoryTests

    @Test("a pass that finds no memory is run again, half as wide, and the same samples come out")
    func outOfMemory() throws {
        let payloads = try (0..<4).map {
            try WirePayload.denoise([0, 1], to: 30, steps: 5, seed: $0, guidance: $0 == 2 ? 2 : 1)
        }
        let jobs = try payloads.map { try scene.send($0) }
        let widths = Mutex<[Int]>([])
        let loop = try loop(slots: 16) { width in
            widths.withLock { $0.append(width) }
            if width > 3 { throw TorchError(.outOfMemory, "no memory") }
        }
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 4)
        let tried = widths.withLock { $0 }
        #expect(tried.prefix(3) == [10, 5, 2] && tried.dropFirst(3).allSatisfy { $0 <= 2 })
        for (payload, job) in zip(payloads, jobs) {
            let alone = try scene.send(payload)
            let expected = try scene.samples(of: alone, in: run([alone], slots: 2))
            #expect(zip(try scene.samples(of: job, in: commands), expected).allSatisfy { abs($0 - $1) < 2e-4 })
        }
        // As many passes as it takes two at a time: none was lost or done twice.
        #expect(commands.compactMap(\.iterations).last == UInt64(tried.count - 2))
    }

    @Test("when even the narrowest pass finds no memory, its job goes to a worker with more room")
    func noMemoryAtAll() throws {
        let jobs = try (0..<2).map { try scene.send(.denoise([0], to: 30, steps: 5, seed: $0)) }
        let loop = try loop { _ in throw TorchError(.outOfMemory, "no memory") }
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 2)
        let codes = commands.compactMap { if case .nack(_, _, let code, _, _) = $0 { code } else { nil } }
        #expect(codes == [.outOfMemory, .outOfMemory])
    }

    // MARK: foreign data

    @Test("every bad request is answered, sealed, and the jobs of the same batch end unharmed")
    func badInput() throws {
        let good = try WirePayload.denoise([0, 1], to: 30, steps: 6, seed: 2, sampler: .dpmSolver)
        func bad(_ change: (inout WirePayload) throws -> Void) throws -> SentJob {
            var payload = try WirePayload.denoise([0], to: 30, steps: 6, seed: 2)
            try change(&payload)
            return try scene.send(payload)
        }
        func started(_ values: [Float], at timesteps: [UInt32]) throws -> SentJob {
            try bad {
                $0.denoiseRequest.timestep = timesteps
                $0.tensors = try WirePayload.tensors("x", [1, 1, 4, 4], values)
            }
        }
        let fine = (0..<16).map { Float($0) / 16 }
        let bads: [(String, SentJob)] = try [
            ("a start below its cut", started(fine, at: [20, 30])),
            ("a start at its cut: no steps", started(fine, at: [30])),
            ("no steps", bad { $0.denoiseRequest.timestep = [] }),
            ("a step twice", bad { $0.denoiseRequest.timestep = [100, 60, 60, 30] }),
            ("steps without end", bad { $0.denoiseRequest.timestep = (0..<100_000).map { 1_000_000_000 - $0 } }),
            ("a start that is no number", started(fine.dropLast() + [.nan], at: [60, 30])),
            ("an infinite start", started(fine.dropLast() + [.infinity], at: [60, 30])),
            ("an unknown sampler", bad { $0.denoiseRequest.sampler = .UNRECOGNIZED(77) }),
            ("a label out of range", bad { $0.denoiseRequest.label = [3] }),
            ("a label far out of range", bad { $0.denoiseRequest.label = [.max] }),
            ("guidance that is no number", bad { $0.denoiseRequest.guidance = .nan }),
            ("a broken blob", bad { $0.tensors = Data([1, 2, 3]) }),
        ]
        let jobs = try (0..<2).map { _ in try scene.send(good) }
        let loop = try loop()
        // The bad ones come when the good ones are under way.
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 2 + bads.count) { [orders = loop.orders] command in
            guard command.iterations == 2 else { return }
            for (_, job) in bads { orders.put(.job(job.assignment())) }
        }
        for (what, job) in bads {
            let answer = try scene.answer(to: job, in: commands)
            #expect([.badRequest, .badPayload].contains(answer.jobFailure.code), "\(what)")
            #expect(answer.jobFailure.message.count > 10, "\(what)")
        }
        let alone = try jobs.map { try scene.samples(of: $0, in: commands) }
        let whole = try (0..<2).map { _ in try scene.send(good) }
        let undisturbed = try run(whole)
        for (job, samples) in zip(whole, alone) { #expect(try scene.samples(of: job, in: undisturbed) == samples) }
        #expect(commands.compactMap(\.iterations).last == 6)
    }

    @Test("a version that cannot be used is passed over: the one before goes on serving")
    func badVersions() throws {
        let registry = scene.folder.appending(path: "registry")
        func version(_ number: Int) -> URL { registry.appending(path: String(format: "v%08d", number)) }
        func copy(to number: Int) throws {
            try FileManager.default.copyItem(at: version(1), to: version(number))
            let record = version(number).appending(path: "collafuse.json")
            let json = try String(contentsOf: record, encoding: .utf8)
            try Data(json.replacing("\"version\" : 1", with: "\"version\" : \(number)").utf8).write(to: record)
            #expect(try ModelRecord(contentsOf: version(number)).version == UInt64(number))
        }
        let weights = "diffusion_pytorch_model.safetensors"
        let good = try scene.send(.denoise([0, 1], to: 30, steps: 4, seed: 5))
        let expected = try scene.samples(of: good, in: run([good]))
        // Without weights; cut short; of another shape; with weights that are no numbers.
        for damage in 0..<4 {
            let number = 2 + damage
            try copy(to: number)
            let file = version(number).appending(path: weights)
            switch damage {
            case 0: try FileManager.default.removeItem(at: file)
            case 1: try Data(contentsOf: file).dropLast(100).write(to: file)
            case 2:
                let config = version(number).appending(path: "config.json")
                let json = try String(contentsOf: config, encoding: .utf8)
                try Data(json.replacing(/"in_channels" *: *1/, with: "\"in_channels\": 3").utf8).write(to: config)
                #expect(try String(contentsOf: config, encoding: .utf8) != json)
            default:
                var bytes = try Data(contentsOf: file)
                bytes.replaceSubrange((bytes.count - 4)..., with: [0, 0, 0xc0, 0x7f])
                try bytes.write(to: file)
            }
            let job = try scene.send(.denoise([0, 1], to: 30, steps: 4, seed: 5))
            let loop = try loop()
            let commands = try loop.work(answers: 1) { [orders = loop.orders] command in
                if command.model?.version == 1 { orders.put(.job(job.assignment())) }
            }
            #expect(try scene.samples(of: job, in: commands) == expected)
            #expect(try scene.answer(to: job, in: commands).denoiseResult.modelVersion == 1)
        }
        // Nor does one appear that was there from the start: without a good one, jobs are handed back with words.
        try FileManager.default.removeItem(at: version(1))
        let job = try scene.send(.denoise())
        let commands = try run([job])
        guard case .nack(_, _, .busy, let message, _)? = commands.first(where: \.isAnswer) else {
            throw Unexpected("not handed back")
        }
        #expect(message.contains("no backbone"))
    }

    // MARK: how wide

    @Test("the narrowest pass that is about as quick an input as any, unless it takes too long")
    func width() {
        func choose(_ measured: [(Int, Double)]) -> Int? {
            BatchProfile.choose(measured.map { .init(width: $0.0, seconds: $0.1) })
        }
        #expect(choose([]) == nil)
        #expect(choose([(1, 0.1)]) == 2, "a guided sample takes two")
        #expect(choose([(1, 0.01), (2, 0.012), (4, 0.016), (8, 0.03), (16, 0.06), (32, 0.118)]) == 8)
        #expect(choose([(1, 0.01), (2, 0.02), (4, 0.04), (8, 0.08)]) == 2, "nothing is gained")
        #expect(choose([(1, 0.4), (2, 0.5), (4, 0.6), (8, 2.0), (16, 2.1)]) == 4, "nobody waits for two seconds")
        #expect(choose([(1, 3), (2, 5), (4, 20)]) == 2, "all are too slow")
    }

    @Test("what was found is kept, by model, device, type and threads")
    func profileIsKept() throws {
        let folder = scene.folder.appending(path: "profile")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let profile = BatchProfile(registry: folder, logger: Logger(label: "test"))
        let cap = try profile.cap(for: scene.run, threads: 1)
        #expect((2...256).contains(cap))
        let file = folder.appending(path: "passes.json")
        typealias Known = [String: [BatchProfile.Measurement]]
        var known = try JSONDecoder().decode(Known.self, from: Data(contentsOf: file))
        let key = try #require(known.keys.first)
        #expect(known.count == 1 && key.contains("cpu") && key.contains("1x4x4") && key.contains("1 threads"))
        // The folder may be another machine's too.
        #expect(Device.cpu.name.count > 3 && key.contains(Device.cpu.name))
        // It is believed, not found again.
        known[key] = [.init(width: 1, seconds: 1), .init(width: 37, seconds: 1)]
        try JSONEncoder().encode(known).write(to: file)
        #expect(try profile.cap(for: scene.run, threads: 1) == 37)
        // A network that sees its own last guess is asked as it is in a pass.
        let other = try Scene.run(selfConditioned: true)
        #expect(try (2...256).contains(profile.cap(for: other, threads: 1)))
        // Another number of threads, or a file that is damaged: found again.
        _ = try profile.cap(for: scene.run, threads: 2)
        #expect(try JSONDecoder().decode(Known.self, from: Data(contentsOf: file)).count == 3)
        try Data("{".utf8).write(to: file)
        #expect(try (2...256).contains(profile.cap(for: scene.run, threads: 1)))
    }
}

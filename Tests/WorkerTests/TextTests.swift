import Chain
import Diffusion
import Exchange
import Foundation
import Logging
import Safetensors
import Sealing
import Synchronization
import Testing
import Torch
import Wire

@testable import Workbench
@testable import Worker

/// Backbones that look at text: requests bring embeddings of their prompts.
struct TextTests {
    private let scene: Scene
    private static let width = 6

    init() throws {
        scene = try Scene(rows: 0)
        let folder = scene.folder.appending(path: "text-model")
        try ModelDirectory(network: Self.network(), schedule: scene.run.schedule, prediction: .epsilon, record: nil)
            .write(to: folder)
        _ = try scene.registry().take(folder, for: scene.run)
    }

    private static func network(classes: Int = 0) throws -> UNet {
        let json = """
            {"_class_name": "UNet2DConditionModel", "sample_size": 4, "in_channels": 1, "out_channels": 1, "layers_per_block": 1,
            "block_out_channels": [8, 16], "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "norm_num_groups": 4, "attention_head_dim": 2,
            "cross_attention_dim": \(width)}
            """
        var configuration = try UNetConfiguration(json: json)
        if classes > 0 { configuration.classEmbeddings = classes }
        var source = ParameterSource(seed: 5)
        return UNet(configuration, &source)
    }

    /// Guided, it would be asked for a class that it does not have, in a pass with everybody else's samples.
    @Test func classesBesideTextAreRefused() throws {
        let error = #expect(throws: DiffusionError.self) {
            try Denoiser(Self.network(classes: 10), on: scene.run.schedule, labels: 10, withText: true)
        }
        #expect(error?.message.contains("num_class_embeds") == true)
    }

    /// [count, tokens, width], some smooth numbers.
    private func embeddings(_ count: Int, tokens: Int, seed: Float) -> (shape: [Int], values: [Float]) {
        let shape = [count, tokens, Self.width]
        return (shape, (0..<shape.reduce(1, *)).map { sin(Float($0) * 0.7 + seed) })
    }

    private func request(
        _ count: Int, prompts: Int, tokens: Int, seed: UInt64, guidance: Double = 1, sampler: WireSamplerKind = .ddim
    ) throws -> WirePayload {
        var payload = try WirePayload.denoise(
            Array(repeating: 0, count: count), to: 30, steps: 5, seed: seed, sampler: sampler, guidance: guidance)
        var archive = SafetensorsArchive()
        let text = embeddings(prompts, tokens: tokens, seed: Float(seed))
        try archive.append(.init(name: "text", shape: text.shape, floats: text.values))
        if guidance != 1 {
            let none = embeddings(1, tokens: tokens, seed: 100)
            try archive.append(.init(name: "no_text", shape: none.shape, floats: none.values))
        }
        payload.tensors = archive.encoded()
        return payload
    }

    private func loop(
        slots: Int = 16, will: @escaping @Sendable (DenoiseWork) throws -> Void = { _ in }
    ) throws -> DenoiseLoop {
        DenoiseLoop(
            desk: try scene.desk(), run: scene.run, registry: try scene.registry(), slots: slots,
            checkpoints: .never, logger: Logger(label: "test"), will: will)
    }

    private func run(_ jobs: [SentJob]) throws -> [WorkerCore.Command] {
        let loop = try loop()
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        return try loop.work(answers: jobs.count)
    }

    /// By way of a network whose prompts are its classes: no step scheduler, no rows of texts.
    private func reference(_ payload: WirePayload) throws -> [Float] {
        let archive = try SafetensorsArchive(decoding: payload.tensors)
        let text = try Tensor(archive.entry("text"))
        let none = try archive["no_text"].map { try Tensor($0) } ?? text[0..<1]
        let network = try PromptedUNet(Self.network(), prompts: .concatenated([text, none], 0))
        let denoiser = try Denoiser(network, on: scene.run.schedule, labels: network.prompts)
        let order = try DenoiseOrder(payload, run: scene.run)
        let plans = order.plans(lowestCut: 0).enumerated().map { place, plan in
            var plan = plan
            plan.label = network.prompts == 1 ? 0 : place
            return plan
        }
        let start = ChainState(
            noiseFor: plans.map { ($0.seed, $0.number) }, imageShape: [1, 4, 4], on: scene.run.schedule)
        return denoiser.sample(from: start, plans).state.x.floats
    }

    @Test("prompts of several lengths and clients, guided and not, each get what they ask for")
    func manyTexts() throws {
        let payloads = try [
            request(3, prompts: 3, tokens: 5, seed: 1), request(2, prompts: 1, tokens: 5, seed: 2, guidance: 3),
            request(2, prompts: 2, tokens: 7, seed: 3, guidance: 2, sampler: .heun),
            request(1, prompts: 1, tokens: 1, seed: 4, sampler: .dpmSolver),
        ]
        let jobs = try payloads.map { try scene.send($0) }
        let commands = try run(jobs)
        for (payload, job) in zip(payloads, jobs) {
            let ours = try scene.samples(of: job, in: commands), theirs = try reference(payload)
            #expect(ours.count == theirs.count)
            #expect(zip(ours, theirs).allSatisfy { abs($0 - $1) <= 5e-4 * max(1, abs($1)) })
        }
        // Another text is another image.
        var other = payloads[0]
        other.tensors = try request(3, prompts: 3, tokens: 5, seed: 9).tensors
        #expect(try reference(payloads[0]) != reference(other))
        // Those of one length share their passes: 5 tokens in 5 passes, 7 in 9 or 10 (Heun), 1 in 5.
        #expect(try #require(commands.compactMap(\.iterations).last) <= 20)
    }

    @Test("a job's texts are brought to the device once, not in each of its passes")
    func textsOnce() throws {
        let jobs = try [
            scene.send(request(3, prompts: 3, tokens: 5, seed: 1)),
            scene.send(request(2, prompts: 1, tokens: 5, seed: 2, guidance: 3)),
            scene.send(request(1, prompts: 1, tokens: 5, seed: 3)),
        ]
        let made = Mutex(0)
        let loop = try loop { work in if work == .text { made.withLock { $0 += 1 } } }
        for job in jobs { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: jobs.count)
        for job in jobs { _ = try scene.samples(of: job, in: commands) }
        #expect(made.withLock { $0 } == jobs.count && commands.compactMap(\.iterations).last ?? 0 >= 5)
    }

    @Test("texts for which there is no memory are that job's matter alone")
    func textsWithoutMemory() throws {
        let job = try scene.send(request(1, prompts: 1, tokens: 5, seed: 1))
        let good = try scene.send(request(1, prompts: 1, tokens: 5, seed: 2))
        let isFirst = Mutex(true)
        let loop = try loop { work in
            guard work == .text,
                isFirst.withLock({ first in
                    defer { first = false }; return first
                })
            else { return }
            _ = Tensor.zeros([1 << 50])
        }
        for job in [job, good] { loop.orders.put(.job(job.assignment())) }
        let commands = try loop.work(answers: 2)
        let codes = commands.compactMap { command -> WireCode? in
            guard case .nack(job.envelope.key, _, let code, _, _) = command else { return nil }
            return code
        }
        #expect(codes == [.outOfMemory])
        #expect(try scene.samples(of: good, in: commands).count == 16)
    }

    @Test("guidance of 0 is none: no empty prompt is wanted, and the samples are those of 1")
    func noGuidance() throws {
        var payload = try request(2, prompts: 2, tokens: 5, seed: 4)
        let plain = try scene.send(payload)
        payload.denoiseRequest.guidance = 0
        let zero = try scene.send(payload)
        let commands = try run([plain, zero])
        let difference = zip(try scene.samples(of: plain, in: commands), try scene.samples(of: zero, in: commands))
            .map { abs($0 - $1) }.max()
        #expect((difference ?? 9) < 5e-4)
    }

    @Test("a job with a text moves to another worker and ends as it would have")
    func migration() throws {
        let payload = try request(3, prompts: 3, tokens: 5, seed: 6, guidance: 2, sampler: .dpmSolver)
        let job = try scene.send(payload)
        let first = try loop(slots: 2)
        first.orders.put(.job(job.assignment()))
        let before = try first.work(answers: 1) { [orders = first.orders] in
            if $0.iterations == 7 { orders.put(.stop) }
        }
        let moved = try scene.handedOn(job, by: before)
        let second = try loop(slots: 2)
        second.orders.put(.job(moved.assignment()))
        let after = try second.work(answers: 1)
        #expect(after.compactMap(\.iterations).last == 8)
        #expect(
            zip(try scene.samples(of: moved, in: after), try reference(payload)).allSatisfy { abs($0 - $1) < 5e-4 })
    }

    @Test("texts that the backbone cannot look at are answered with what it wants")
    func badTexts() throws {
        func changed(_ change: (inout SafetensorsArchive) throws -> Void, guidance: Double = 1) throws -> SentJob {
            var payload = try request(2, prompts: 2, tokens: 5, seed: 1)
            payload.denoiseRequest.guidance = guidance
            var archive = SafetensorsArchive()
            try change(&archive)
            payload.tensors = archive.entries.isEmpty ? Data() : archive.encoded()
            return try scene.send(payload)
        }
        func text(_ shape: [Int], _ value: Float = 0.5, name: String = "text") throws -> SafetensorsArchive.Entry {
            try .init(name: name, shape: shape, floats: Array(repeating: value, count: shape.reduce(1, *)))
        }
        let cases: [(String, SentJob)] = try [
            ("send `text`", changed { _ in }),
            ("wants `text`", changed { try $0.append(text([2, 5, 7])) }),
            ("[2 or 1, S, D]", changed { try $0.append(text([3, 5, 6])) }),
            ("[2 or 1, S, D]", changed { try $0.append(text([2, 0, 6])) }),
            ("[2 or 1, S, D]", changed { try $0.append(text([2, 1025, 6])) }),
            ("[2 or 1, S, D]", changed { try $0.append(text([2, 6])) }),
            ("NaN", changed { try $0.append(text([2, 5, 6], .nan)) }),
            ("without `text`", changed { try $0.append(text([1, 5, 6], name: "no_text")) }),
            ("no_text", changed({ try $0.append(text([2, 5, 6])) }, guidance: 2)),
            (
                "no_text",
                changed(
                    {
                        try $0.append(text([2, 5, 6]))
                        try $0.append(text([1, 4, 6], name: "no_text"))
                    }, guidance: 2)
            ),
        ]
        let good = try scene.send(request(1, prompts: 1, tokens: 5, seed: 1))
        let commands = try run(cases.map(\.1) + [good])
        for (words, job) in cases {
            let failure = try scene.answer(to: job, in: commands).jobFailure
            #expect(failure.code == .badRequest && failure.message.contains(words), "\(words) in \(failure.message)")
        }
        #expect(try scene.samples(of: good, in: commands).count == 16)
    }
}

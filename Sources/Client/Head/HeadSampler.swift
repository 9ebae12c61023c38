internal import Chain
internal import Diffusion
internal import Foundation
internal import Safetensors
internal import Torch
internal import Wire

/// Draws samples: asks the workers for x_ζ, and takes it from there to x_0 with the head.
struct HeadSampler {
    /// One sample: its label, and what it was at the cut and at the end.
    struct Drawn {
        let label: Int
        /// x_ζ, as the workers sent it
        let atCut: [Float]
        /// x_0 in [−1, 1]
        let final: [Float]
    }

    /// Samples whose start comes by one job.
    struct Chunk: Sendable {
        let first: UInt32
        let labels: [Int]
        /// Those that ask for something by a text; none: they do not.
        var prompts: [Int] = []
    }

    private let run: RunDescriptor
    private let request: SampleRequest
    private let cut: Cut
    private let head: Denoiser<UNet>
    /// Labels that the head was trained on.
    private let known: Set<Int>
    /// What is drawn `perLabel` times: labels, or the places of prompts; and the labels that are drawn `unseenPerLabel` times.
    private let held: [Int]
    private let unseen: [Int]
    /// The workers' steps, from T to the cut, and the head's, from there to 0.
    private let toCut: TimestepList
    private let toEnd: TimestepList

    /// All that one call draws is held in memory until it is saved.
    private static let mostSamples = 100_000

    /// - Throws: `badRequest` for labels, steps or numbers of samples that cannot be; `noHead`.
    init(_ request: SampleRequest, run: RunDescriptor, cut: Cut, home: HeadHome) throws {
        guard request.held.allSatisfy({ (0..<max(1, run.nullLabel)).contains($0) }) else {
            throw ClientError(.badRequest, "labels lie in 0…\(run.nullLabel - 1)")
        }
        if let text = request.text {
            held = Array(0..<text.prompts(guidance: request.guidance))
            unseen = []
        } else {
            held = run.labels.isEmpty ? [run.nullLabel] : request.held
            unseen = (0..<run.nullLabel).filter { !request.held.contains($0) }
        }
        let (mine, others) = (
            held.count.multipliedReportingOverflow(by: request.perLabel),
            unseen.count.multipliedReportingOverflow(by: request.unseenPerLabel)
        )
        guard !mine.overflow, !others.overflow, mine.partialValue <= Self.mostSamples,
            others.partialValue <= Self.mostSamples - mine.partialValue
        else {
            throw ClientError(
                .badRequest,
                "one call draws at most \(Self.mostSamples) samples in all: ask for fewer of each, and again")
        }
        let top = run.schedule.timesteps
        guard request.steps <= top else {
            throw ClientError(.badRequest, "\(request.steps) steps are more than the chain's \(top)")
        }
        // Their share of the chain, but at least one step, and one for the head.
        let share = Int((Double(request.steps * (top - cut.timestep)) / Double(top)).rounded())
        let workerSteps = min(max(1, share), request.steps - 1)
        do {
            toCut = try TimestepList(from: top, to: cut.timestep, steps: workerSteps)
            toEnd = try TimestepList(from: cut.timestep, to: 0, steps: request.steps - workerSteps)
        } catch { throw ClientError(.badRequest, error.message) }
        let model = try home.load(cut)
        self.run = run
        self.request = request
        self.cut = cut
        head = try Denoiser(model.network, on: run.schedule, predicting: model.prediction, labels: run.labels.count)
        known = Set(model.record?.trainedLabels ?? [])
    }

    /// Held labels first, then the others; or prompt by prompt. `chunk` samples at a time.
    var chunks: [Chunk] {
        let drawn =
            held.flatMap { Array(repeating: $0, count: request.perLabel) }
            + unseen.flatMap { Array(repeating: $0, count: request.unseenPerLabel) }
        let size = min(request.chunk, request.text?.largestChunk ?? request.chunk)
        return stride(from: 0, to: drawn.count, by: size).map { start in
            let part = Array(drawn[start..<min(start + size, drawn.count)]), first = UInt32(start)
            return request.text == nil
                ? Chunk(first: first, labels: part)
                : Chunk(first: first, labels: part.map { _ in run.nullLabel }, prompts: part)
        }
    }

    /// What brings a chunk from T to the cut, but for the seed.
    func message(_ chunk: Chunk) -> WireDenoiseRequest {
        var message = WireDenoiseRequest()
        message.firstSample = chunk.first
        message.label = chunk.labels.map(UInt32.init)
        message.cut = UInt32(cut.timestep)
        message.sampler = WireSamplerKind(request.sampler.name)
        message.eta = request.eta
        message.timestep = toCut.timesteps.map(UInt32.init)
        message.guidance = request.guidance
        message.clip = 1
        message.previewEvery = UInt32(clamping: request.previewEvery)
        if let seconds = request.within { message.deadlineMs = .now + Int64(seconds * 1000) }
        return message
    }

    /// The tensors that go with the message.
    func tensors(_ chunk: Chunk) throws -> Data {
        guard let text = request.text else { return Data() }
        return try text.tensors(chunk.prompts, guidance: request.guidance)
    }

    /// Takes a chunk from the cut to the end.
    ///
    /// - Parameter seed: of the noise that the head adds: not the one that the workers know.
    /// - Throws: `untrusted` when what the worker sent is not x_ζ of this chunk.
    func finish(_ chunk: Chunk, _ answer: WirePayload, seed: UInt64) throws -> [Drawn] {
        let shape = [run.image.channels, run.image.height, run.image.width]
        let x: Tensor
        do {
            x = Tensor(
                try SafetensorsArchive(decoding: answer.tensors).floats("x", shape: [chunk.labels.count] + shape),
                shape: [chunk.labels.count] + shape)
        } catch {
            throw ClientError(.untrusted, "the worker's answer does not hold the samples that were asked for: \(error)")
        }
        let state = try ChainState(received: x, at: chunk.labels.map { _ in cut.timestep }, imageShape: shape)
        let sampler = Sampler(request.sampler.name, eta: request.eta)
        let plans = chunk.labels.enumerated().map { index, label in
            let isKnown = known.contains(label) || label == run.nullLabel
            // A label that the head never saw says nothing to it: such a sample is finished without one, and without fresh noise,
            // which the head would turn into what it knows.
            return SamplePlan(
                seed: seed, number: chunk.first + UInt32(index), label: isKnown ? label : run.nullLabel,
                timesteps: toEnd,
                sampler: isKnown ? sampler : sampler.withoutNoise,
                guidance: isKnown && request.text == nil ? request.guidance : 1)
        }
        let final = head.sample(from: state, plans).state.x.clamped(-1, 1)
        return chunk.labels.enumerated().map { index, label in
            Drawn(label: label, atCut: x[index..<index + 1].floats, final: final[index..<index + 1].floats)
        }
    }
}

extension SamplerChoice {
    fileprivate var name: Sampler.Name {
        switch self {
        case .ddpm: .ddpm
        case .ddim: .ddim
        case .dpmSolver: .dpmSolver
        case .euler: .euler
        case .heun: .heun
        }
    }
}

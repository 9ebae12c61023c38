package import Chain
package import Diffusion
internal import Safetensors
internal import Torch
package import Wire
package import Workbench

/// A denoise job's payload, read and checked against the run: samples that the step scheduler may take in.
package struct DenoiseOrder: Sendable {
    package let seed: UInt64
    package let firstSample: UInt32
    /// One for each sample; the number of labels stands for "none".
    package let labels: [Int]
    package let cut: Cut
    package let sampler: Sampler
    /// From the start to the cut.
    package let timesteps: TimestepList
    /// w; 0 and 1: none.
    package let guidance: Double
    package let threshold: Threshold
    /// A preview after every so many passes; 0: none.
    package let previewEvery: Int
    /// Unix time in milliseconds by which the samples are wanted; nil: no matter when.
    package let deadline: Int64?
    /// x at the start for each sample; nil: it starts from noise at T.
    package let start: [[Float]]?
    /// What samples are to show, in the words of a text encoder; nil: the backbone looks at no text.
    package let text: PromptText?

    /// More samples than any client should ask for in one job; a larger wish is several jobs.
    package static let maximumSamples = 1024
    package static let maximumGuidance = 100.0

    /// - Throws: `badPayload` when it cannot be read, `badRequest` when the run does not allow it.
    package init(_ payload: WirePayload, run: RunDescriptor) throws(RequestError) {
        guard case .denoiseRequest(let request) = payload.head else {
            throw RequestError(.badPayload, "a denoise job must carry a denoise request")
        }
        guard (1...Self.maximumSamples).contains(request.label.count) else {
            throw RequestError(
                .badRequest, "a denoise job has 1 to \(Self.maximumSamples) samples, not \(request.label.count)")
        }
        for label in request.label where label > run.nullLabel {
            throw RequestError(label: label, run)
        }
        guard request.guidance >= 0, request.guidance <= Self.maximumGuidance else {
            throw RequestError(
                .badRequest, "the guidance scale lies in 0…\(Self.maximumGuidance), not at \(request.guidance)")
        }
        guard request.firstSample <= .max - UInt32(request.label.count) else {
            throw RequestError(.badRequest, "the first sample's number is too large")
        }
        seed = request.seed
        firstSample = request.firstSample
        labels = request.label.map(Int.init)
        guidance = request.guidance
        previewEvery = Int(request.previewEvery)
        deadline = request.deadlineMs == 0 ? nil : request.deadlineMs
        do throws(ChainError) {
            cut = try run.cut(Int(request.cut))
            timesteps = try TimestepList(request.timestep.map(Int.init), on: run.schedule)
            sampler = try request.readSampler()
            try sampler.check(on: run.schedule)
            threshold = request.threshold
            try threshold.check()
        } catch {
            throw RequestError(.badRequest, error.message)
        }
        guard timesteps.end == cut.timestep else {
            throw RequestError(
                .badRequest,
                "the timesteps must end at the cut \(cut), where the client takes over, not at \(timesteps.end)")
        }
        text = try PromptText(payload, samples: labels.count)
        // A blob of other tensors is one that lacks its x.
        if payload.tensors.isEmpty || text?.isBesideStart == false {
            guard timesteps.start == run.schedule.timesteps else {
                throw RequestError(
                    .badRequest,
                    "a sample from noise starts at \(run.schedule.timesteps), not at \(timesteps.start): send its `x`, or start there"
                )
            }
            start = nil
        } else {
            let values = try PublishOrder.images(payload, "x", count: labels.count, run: run)
            start = stride(from: 0, to: values.count, by: run.image.values).map {
                Array(values[$0..<$0 + run.image.values])
            }
        }
    }
}

extension DenoiseOrder {
    /// One plan for each sample, on a backbone that was trained for the timesteps past `lowestCut`.
    package func plans(lowestCut: Int) -> [SamplePlan] {
        labels.enumerated().map { index, label in
            SamplePlan(
                seed: seed, number: firstSample + UInt32(index), label: label, timesteps: timesteps, sampler: sampler,
                guidance: guidance, threshold: threshold, asksAtEnd: cut.timestep > lowestCut)
        }
    }

    /// A sample where it begins: at the client's x, or at noise.
    ///
    /// - Parameters:
    ///   - plan: its plan.
    ///   - place: its place among the order's.
    /// - Throws: `badImages`, which the order was checked for.
    package func begin(
        _ plan: SamplePlan, at place: Int, model: UInt64, _ run: RunDescriptor
    ) throws(DiffusionError) -> SampleState {
        let shape = [run.image.channels, run.image.height, run.image.width]
        let beginning: ChainState
        if let start {
            beginning = try ChainState(
                received: Tensor(start[place], shape: [1] + shape), at: [timesteps.start], imageShape: shape)
        } else {
            beginning = ChainState(noiseFor: [(plan.seed, plan.number)], imageShape: shape, on: run.schedule)
        }
        return SampleState(plan, model: model, from: beginning)
    }

    package var isGuided: Bool { SamplePlan.isGuided(guidance) }

    /// - Throws: `tooLate` when the request's deadline has passed.
    package func checkDeadline(at now: Int64) throws(RequestError) {
        guard let deadline, deadline <= now else { return }
        // In Double: a client may name any deadline.
        let late = Int((Double(now) - Double(deadline)) / 1_000)
        throw RequestError(
            .tooLate,
            "the request's deadline passed \(late) s before a worker had room: allow more time")
    }

    /// - Throws: `cutNotCovered` when this version was not trained down to the job's cut.
    package func check(_ version: ModelRegistry.Version) throws(RequestError) {
        guard cut.timestep >= version.lowestCut else {
            throw RequestError(
                .cutNotCovered,
                "no backbone was trained down to ζ = \(cut); the lowest cut that is covered is \(version.lowestCut)")
        }
    }
}

extension WireDenoiseRequest {
    /// - Throws: `badSampler`
    fileprivate func readSampler() throws(ChainError) -> Sampler {
        guard let name = sampler.name else {
            let known = Sampler.Name.allCases.map(\.rawValue).joined(separator: ", ")
            throw ChainError(.badSampler, "the sampler is not known here: it is one of \(known)")
        }
        return Sampler(name, eta: eta)
    }

    fileprivate var threshold: Threshold {
        if dynamicQuantile != 0 { return .dynamic(quantile: dynamicQuantile, maximum: clip) }
        return clip == 0 ? .none : .clip(clip)
    }
}

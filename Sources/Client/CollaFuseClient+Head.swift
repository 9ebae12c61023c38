internal import Chain
internal import Foundation
internal import Images
internal import Safetensors
internal import Torch
internal import Trust
internal import Wire

extension CollaFuseClient {
    /// Trains this client's head on its own images; nothing leaves. Training that was interrupted goes on.
    ///
    /// - Parameter measured: called on the way, on the training's thread.
    /// - Throws: `badRequest` for a cut that the run does not allow, `badImages`, `storage`.
    public func trainHead(
        on images: ClientImages, cut timestep: Int, settings: HeadTraining,
        measured: @escaping @Sendable (HeadMeasurement) -> Void = { _ in },
        progress: @escaping ClientProgress.Handler = { _ in }
    ) async throws -> HeadSummary {
        let cut = try cut(timestep)
        guard settings.images > 0, settings.batch > 0, settings.threads > 0, settings.learningRate > 0,
            settings.learningRate.isFinite
        else {
            throw ClientError(
                .badRequest, "a head is trained on at least one image, in batches, with a step size above 0")
        }
        return try await ComputeThread.run(threads: settings.threads) { [descriptor, heads, credentials] in
            var trainer = try HeadTrainer(
                run: descriptor, runID: "\(credentials.run.id)", cut: cut, home: heads, settings: settings)
            return try trainer.train(on: images, measured: measured, progress: progress)
        }
    }

    /// Draws samples: the workers denoise to the cut, the head finishes.
    ///
    /// - Parameter preview: called now and then with what the workers take samples for, if the request wishes so. Some may be lost.
    /// - Returns: the samples, held labels first.
    /// - Throws: `noHead`, `badRequest`, `failed`, `refused`, `untrusted`, `storage`.
    public func sample(
        _ request: SampleRequest, progress: @escaping ClientProgress.Handler = { _ in },
        preview: (@Sendable (SamplePreview) -> Void)? = nil
    ) async throws -> SampleSet {
        let cut = try cut(request.cut)
        try request.check()
        let jobs = try await denoiseJobs(request, cut)
        let counter = ProgressCounter(
            total: jobs.reduce(0) { $0 + $1.chunk.labels.count }, note: { [session] in session.note }, handler: progress
        )
        let answers = try await previewing(jobs, to: preview) {
            try await session.observing(counter.tell) {
                try await jobs.mapConcurrently { [runner, release] job in
                    let answer = try await runner.finish(job.id)
                    try await release.discardResult(of: job.id)
                    return answer
                }
            }
        }
        return try await ComputeThread.run(threads: request.threads) { [descriptor, heads] in
            let sampler = try HeadSampler(request, run: descriptor, cut: cut, home: heads)
            var set = SampleSet(imageShape: descriptor.image, held: Set(request.held))
            for (job, answer) in zip(jobs, answers) {
                set.add(try sampler.finish(job.chunk, answer), version: answer.denoiseResult.modelVersion)
                counter.add(job.chunk.labels.count)
            }
            return set
        }
    }

    struct DenoiseJob: Sendable {
        let chunk: HeadSampler.Chunk
        let id: JobID
    }

    private func denoiseJobs(_ request: SampleRequest, _ cut: Cut) async throws -> [DenoiseJob] {
        let requests = try await ComputeThread.run(threads: request.threads) { [descriptor, heads] in
            let sampler = try HeadSampler(request, run: descriptor, cut: cut, home: heads)
            return try sampler.chunks.map { ($0, try sampler.job($0).denoiseRequest) }
        }
        // The same request that an earlier process spooled is the same job: it goes on.
        var waiting = try await release.denoiseJobs()
        var jobs: [DenoiseJob] = []
        for (chunk, message) in requests {
            if let place = waiting.firstIndex(where: { $0.request.isSame(as: message) }) {
                jobs.append(DenoiseJob(chunk: chunk, id: waiting.remove(at: place).job))
            } else {
                let id = try await release.denoise(message, to: credentials.poolKey(for: .denoise), now: .now)
                jobs.append(DenoiseJob(chunk: chunk, id: id))
            }
        }
        return jobs
    }
}

extension WireDenoiseRequest {
    /// Whether it asks for the same samples: by when they are wanted does not matter.
    fileprivate func isSame(as other: WireDenoiseRequest) -> Bool {
        var (mine, others) = (self, other)
        mine.deadlineMs = 0
        others.deadlineMs = 0
        return mine == others
    }
}

/// Long computations run on a thread of their own: on the cooperative pool they would starve every `await`.
enum ComputeThread {
    static func run<Result: Sendable>(
        threads: Int, _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        let cancelled = Flag()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (end: CheckedContinuation<Result, any Error>) in
                let thread = Thread {
                    Runtime.threads = threads
                    Runtime.flushDenormals()
                    end.resume(with: Swift.Result { try Flag.$current.withValue(cancelled) { try body() } })
                }
                thread.stackSize = 16 << 20
                thread.start()
            }
        } onCancel: {
            cancelled.raise()
        }
    }
}

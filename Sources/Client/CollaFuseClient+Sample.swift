internal import Chain
internal import Foundation
internal import Logging
internal import Trust
internal import Wire

extension CollaFuseClient {
    /// Draws samples: the workers denoise to the cut, the head finishes. What the workers sent stays in the home until the samples are
    /// saved: a call that was interrupted, wherever it was, goes on when it is made again. (A loss of power may take requests that were
    /// not answered yet; they are made anew then.)
    ///
    /// - Parameters:
    ///   - preview: called now and then with what the workers take samples for, if the request wishes so. Some may be lost.
    ///   - saving: puts the samples where they are wanted. When it throws, they can be asked for again at no cost to the workers.
    /// - Returns: the samples, held labels first.
    /// - Throws: `noHead`, `badRequest`, `failed`, `refused`, `untrusted`, `storage`, and what `saving` throws.
    public func sample(
        _ request: SampleRequest, progress: @escaping ClientProgress.Handler = { _ in },
        preview: (@Sendable (SamplePreview) -> Void)? = nil,
        saving: @Sendable (SampleSet) async throws -> Void = { _ in }
    ) async throws -> SampleSet {
        let cut = try cut(request.cut)
        try request.check()
        var claimed: [JobID] = []
        defer { claims.drop(claimed) }
        let (seed, jobs) = try await denoiseJobs(request, cut, &claimed)
        let counter = ProgressCounter(
            total: jobs.reduce(0) { $0 + $1.chunk.labels.count }, note: { [session] in session.note }, handler: progress
        )
        let answers = try await previewing(jobs, to: preview) {
            try await session.observing(counter.tell) {
                try await jobs.mapConcurrently { [runner] job in try await runner.finish(job.id) }
            }
        }
        let headSeed = release.headSeed(seed)
        let outcome = try await ComputeThread.run(threads: request.threads) { [descriptor, heads] in
            let sampler = try HeadSampler(request, run: descriptor, cut: cut, home: heads)
            var set = SampleSet(
                imageShape: descriptor.image, held: Set(request.held + [descriptor.nullLabel]), seed: seed)
            for (job, answer) in zip(jobs, answers) {
                do {
                    set.add(
                        try sampler.finish(job.chunk, answer.payload, seed: headSeed),
                        version: answer.payload.denoiseResult.modelVersion)
                } catch let error as ClientError where error.code == .untrusted {
                    return HeadOutcome.unusable(answer.job, error)
                }
                counter.add(job.chunk.labels.count)
            }
            return .drawn(set)
        }
        switch outcome {
        case .drawn(let set):
            try await saving(set)
            for answer in answers { try await runner.close(answer.job) }
            return set
        case .unusable(let job, let error):
            // Kept, it would end every later call in the same way.
            try await runner.close(job)
            throw error
        }
    }

    private enum HeadOutcome: Sendable {
        case drawn(SampleSet)
        case unusable(JobID, ClientError)
    }

    struct DenoiseJob: Sendable {
        let chunk: HeadSampler.Chunk
        let id: JobID
    }

    private func denoiseJobs(
        _ request: SampleRequest, _ cut: Cut, _ claimed: inout [JobID]
    ) async throws -> (seed: UInt64, jobs: [DenoiseJob]) {
        let wanted = try await ComputeThread.run(threads: request.threads) { [descriptor, heads] in
            let sampler = try HeadSampler(request, run: descriptor, cut: cut, home: heads)
            return try sampler.chunks.map {
                (chunk: $0, message: sampler.message($0), tensors: try sampler.tensors($0))
            }
        }
        for job in try await release.dropOverdue(now: .now) {
            logger.notice("a request that was not done in time is dropped", metadata: ["job": "\(job.short)"])
        }
        // The same request that an earlier call spooled is the same job: it goes on. Of a call that is under way it is not.
        let waiting = try await release.denoiseJobs().filter { !claims.has($0.job) }
        let interrupted = waiting.first { waiting in
            wanted.contains {
                waiting.request.isSame(as: $0.message, seed: waiting.request.seed) && waiting.tensors == $0.tensors
            }
        }
        let seed = request.seed ?? interrupted?.request.seed ?? .random(in: .min ... .max)
        var jobs: [DenoiseJob] = []
        for (chunk, message, tensors) in wanted {
            let id: JobID
            if let known = waiting.first(where: {
                $0.request.isSame(as: message, seed: seed) && $0.tensors == tensors && claims.take($0.job)
            }) {
                id = known.job
            } else {
                var message = message
                message.seed = seed
                id = try await release.denoise(
                    message, text: tensors, to: credentials.poolKey(for: .denoise), now: .now)
                _ = claims.take(id)
            }
            claimed.append(id)
            jobs.append(DenoiseJob(chunk: chunk, id: id))
        }
        return (seed, jobs)
    }
}

extension WireDenoiseRequest {
    /// Whether it asks for the same samples as the other with this seed: by when they are wanted does not matter.
    fileprivate func isSame(as other: WireDenoiseRequest, seed: UInt64) -> Bool {
        var (mine, others) = (self, other)
        others.seed = seed
        mine.deadlineMs = 0
        others.deadlineMs = 0
        return mine == others
    }
}

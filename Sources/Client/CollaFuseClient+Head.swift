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

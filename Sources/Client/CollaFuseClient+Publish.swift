internal import Chain
internal import Foundation
internal import Synchronization
internal import Trust
internal import Wire

/// What becomes of a masked image at the server.
public enum PublishPolicy: Hashable, Sendable {
    /// Masked once, kept, and trained on for ever. Publishing again sends the same bytes.
    case once
    /// Masked anew for each of so many epochs and trained on once. Each epoch adds to what is given away. Epochs that were
    /// published before are not published again.
    case fresh(epochs: Int)
}

/// What publishing came to, and what has left this client so far.
public struct PublishSummary: Sendable {
    /// Images that were sent by this call.
    public var published: Int
    /// Images that the call was about.
    public var images: Int
    public var exposure: ExposureSummary

    public var text: String {
        "\(published) masked images sent, \(images) images published\n\(exposure.text)"
    }
}

extension CollaFuseClient {
    /// Bytes of images in one job at most: half of what a broker takes unless its operator says otherwise.
    private static let largestJob = 4 << 20

    /// Masks images at the cut and hands them to the trainer; returns when their storage is confirmed, signed.
    ///
    /// - Parameters:
    ///   - cut: ζ
    ///   - chunk: images in one job.
    /// - Throws: `badRequest` for a cut that the run does not allow, `limitReached` when the owner's limit would be passed, `failed`,
    ///   `refused`, `storage`: of the first job that failed, once all others are done.
    public func publish(
        _ images: ClientImages, cut timestep: Int, policy: PublishPolicy = .once, chunk: Int = 64,
        progress: @escaping ClientProgress.Handler = { _ in }
    ) async throws -> PublishSummary {
        guard chunk > 0 else { throw ClientError(.badRequest, "a job carries at least one image") }
        let chunk = min(chunk, max(1, Self.largestJob / (descriptor.image.values * 4)))
        _ = try cut(timestep)
        let epochs: [ReleasePolicy] =
            switch policy {
            case .once: [.once()]
            case .fresh(let count): (0..<max(0, count)).map { .fresh(epoch: UInt32($0)) }
            }
        let chunks = stride(from: 0, to: images.count, by: chunk).map { $0..<min($0 + chunk, images.count) }
        // Everything is read, once, and charged first, all or nothing: a broken image or the owner's limit stops the whole call.
        let owned = try images.own(0..<images.count)
        var names: [[ReleaseName]] = []
        for epoch in epochs { names.append(try await release.names(of: owned, at: timestep, as: epoch)) }
        try await release.reserve(names.flatMap(\.self))
        for (epoch, names) in zip(epochs, names) {
            let order = release.order(of: names)
            for chunk in chunks {
                _ = try await release.publish(
                    owned.rows(Array(order[chunk])), at: timestep, as: epoch, to: credentials.poolKey(for: .train),
                    now: .now)
            }
        }
        // What an earlier process began is among these.
        let jobs = try await release.jobs().filter { $0.kind == .publish }
        let sent = jobs.reduce(0) { $0 + $1.publications }
        let total = images.count * epochs.count
        let counter = ProgressCounter(total: total, note: { [session] in session.note }, handler: progress)
        counter.add(total - min(sent, total))
        try await session.observing(counter.tell) {
            // One that fails, perhaps of an earlier call, holds up none of the others.
            _ = try await jobs.mapConcurrently { [runner] job in
                try await runner.close(runner.finish(job.job).job)
                counter.add(job.publications)
            }
        }
        return PublishSummary(published: sent, images: images.count, exposure: await exposure())
    }
}

/// Counts up from several tasks and tells the caller.
final class ProgressCounter: Sendable {
    private let done = Mutex(0)
    private let total: Int
    private let note: @Sendable () -> String
    private let handler: ClientProgress.Handler

    init(total: Int, note: @escaping @Sendable () -> String, handler: @escaping ClientProgress.Handler) {
        self.total = total
        self.note = note
        self.handler = handler
    }

    func add(_ count: Int) {
        done.withLock { $0 = min(total, $0 + count) }
        tell()
    }

    @Sendable func tell() {
        handler(ClientProgress(done: done.withLock { $0 }, total: total, note: note()))
    }
}

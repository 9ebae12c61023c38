public import Foundation
internal import Images
internal import Safetensors
internal import Trust
internal import Wire

/// What the workers take some of the samples for, while these are on their way. A guess that gets better step by step.
public struct SamplePreview: Sendable {
    /// Places in the set that the call will return.
    public let samples: [Int]
    /// Of each.
    public let labels: [Int]
    /// Where each stands now: t of the chain, falling to the cut.
    public let timesteps: [Int]
    /// How often the network was asked for the first of them.
    public let step: Int
    /// x̂_0, one after another, each C × H × W; about −1 … 1.
    public let values: [Float]
    private let shape: [Int]

    /// - Parameter chunk: what the job asked for.
    /// - Returns: nil for what is no preview of these samples: a preview may be lost.
    init?(_ payload: WirePayload, of chunk: HeadSampler.Chunk, imageShape: [Int]) {
        guard case .denoisePreview(let head) = payload.head, !head.sample.isEmpty,
            head.sample.count == head.timestep.count, head.sample.allSatisfy({ Int($0) < chunk.labels.count }),
            let archive = try? SafetensorsArchive(decoding: payload.tensors),
            let values = try? archive.floats("x0", shape: [head.sample.count] + imageShape),
            values.allSatisfy(\.isFinite)
        else { return nil }
        samples = head.sample.map { Int(chunk.first) + Int($0) }
        labels = head.sample.map { chunk.labels[Int($0)] }
        timesteps = head.timestep.map(Int.init)
        step = Int(head.step)
        self.values = values
        shape = imageShape
    }

    /// Draws it: a row of images, scaled up.
    ///
    /// - Throws: `storage`
    public func write(to url: URL) throws {
        let shape = ImageShape(channels: shape[0], height: shape[1], width: shape[2])
        let images = samples.indices.map {
            Image(shape: shape, values: Array(values[$0 * shape.count..<($0 + 1) * shape.count]))
        }
        try ImageGrid(rows: [images], scale: 4).write(privately: url)
    }
}

extension CollaFuseClient {
    /// Hands over the previews of these jobs for as long as the body runs. They are opened, and `handler` is called, off the link's
    /// thread, one after another.
    func previewing<Result: Sendable>(
        _ jobs: [DenoiseJob], to handler: (@Sendable (SamplePreview) -> Void)?, _ body: () async throws -> Result
    ) async throws -> Result {
        guard let handler else { return try await body() }
        let chunks = Dictionary(uniqueKeysWithValues: jobs.map { ($0.id, $0.chunk) })
        let shape = imageShape
        // Who looks slowly sees the newest: previews are worth something only at once.
        let (stream, arrivals) = AsyncStream.makeStream(
            of: (JobID, Session.Answer).self, bufferingPolicy: .bufferingNewest(2 * max(1, jobs.count)))
        let showing = Task { [release, credentials] in
            for await (job, sealed) in stream {
                guard let chunk = chunks[job],
                    let payload = try? await release.open(
                        sealed.sealed, header: sealed.header, of: job, by: credentials.opener, now: .now),
                    let preview = SamplePreview(payload, of: chunk, imageShape: shape)
                else { continue }
                handler(preview)
            }
        }
        defer { arrivals.finish() }
        let result = try await session.watching(Set(chunks.keys), { arrivals.yield(($0, $1)) }, body)
        arrivals.finish()
        await showing.value
        return result
    }
}

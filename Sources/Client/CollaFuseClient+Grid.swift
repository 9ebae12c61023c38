internal import Chain
internal import Diffusion
internal import Disk
public import Foundation
internal import Images
internal import Trust

extension CollaFuseClient {
    /// Draws `grid.png`: for each label that is held, columns of real · masked as the server sees it · the server's x_ζ · final; below,
    /// x_ζ and final of each label that is not held, and of samples without one. The masked images are those that were published; nothing is released for it. Only
    /// the owner can read it.
    public func writeGrid(
        _ samples: SampleSet, beside images: ClientImages, cut timestep: Int, columns: Int = 4, to url: URL
    ) async throws {
        let shape = ImageShape(
            channels: descriptor.image.channels, height: descriptor.image.height, width: descriptor.image.width)
        func picture(_ values: [Float]) -> Image { Image(shape: shape, values: values) }
        let blank = picture(Array(repeating: 1, count: shape.count))
        func padded(_ images: [Image]) -> [Image] { images + Array(repeating: blank, count: columns - images.count) }
        var rows: [[Image]] = []
        let held = Set(images.labels)
        for label in held.sorted() + (0...descriptor.nullLabel).filter({ !held.contains($0) }) {
            let drawn = samples.pictures(of: label, most: columns)
            guard !drawn.isEmpty else { continue }
            let own = Array(images.labelOfEach.indices.filter { images.labelOfEach[$0] == label }.prefix(columns))
            var real: [Image] = [], masked: [Image] = []
            if !own.isEmpty {
                let values = try images.values(own)
                real = own.indices.map { picture(Array(values[$0 * shape.count..<($0 + 1) * shape.count])) }
                let owned = try images.own(own)
                masked = try await release.published(owned, at: timestep).map { $0.map(picture) ?? blank }
            }
            rows.append(
                padded(real) + [blank] + padded(masked) + [blank] + padded(drawn.map { picture($0.atCut) }) + [blank]
                    + padded(drawn.map { picture($0.final) }))
        }
        guard !rows.isEmpty else { return }
        try ImageGrid(rows: rows, scale: 4).write(privately: url)
    }
}

extension ImageGrid {
    /// A picture that others cannot read: real images are in it, or what a model made of them.
    ///
    /// - Throws: `storage`
    func write(privately url: URL) throws(ClientError) {
        do { try DurableFile.write(png(), to: url) } catch { throw ClientError(.storage, "\(error)") }
    }
}

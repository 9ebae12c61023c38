internal import Chain
internal import Diffusion
internal import Sodium
internal import Torch
internal import Trust
internal import Wire

/// How releases are made from images: x_ζ = √ᾱ_ζ·x_0 + √(1−ᾱ_ζ)·ε, or from an earlier release by a forward step.
///
/// A release is a function of image, masking key and record: made again, it is the same.
struct Masks: Sendable {
    let run: CertifiedRun
    let key: MaskingKey
    let book: LedgerBook

    /// What the server has of these images, made again: for the owner's eyes.
    ///
    /// - Returns: for each image x at the cut; nil where nothing was released there.
    func published(_ images: OwnImages, at timestep: Int, mask: UInt32) throws(ClientError) -> [[Float]?] {
        let names = try names(images, cut: cut(timestep), mask: mask)
        let known = names.indices.filter { book.record(names[$0]) != nil }
        var result = [[Float]?](repeating: nil, count: names.count)
        guard !known.isEmpty else { return result }
        let values = try self.mask(images.rows(known), known.compactMap { book.record(names[$0]) })
        let each = values.count / known.count
        for (place, row) in known.enumerated() { result[row] = Array(values[place * each..<(place + 1) * each]) }
        return result
    }

    func cut(_ timestep: Int) throws(ClientError) -> Cut {
        do { return try run.descriptor.cut(timestep) } catch { throw ClientError(.badRequest, error.message) }
    }

    /// - Throws: `.badImages` for images that are not of the run's shape.
    func names(_ images: OwnImages, cut: Cut, mask: UInt32) throws(ClientError) -> [ReleaseName] {
        let shape = run.descriptor.image
        guard images.shape == [shape.channels, shape.height, shape.width] else {
            throw ClientError(
                .badImages, "the run's images are \(shape), not \(images.shape): scale or crop them first")
        }
        return (0..<images.count).map { row in
            ReleaseName(
                image: key.name(ofImage: images.image(row), shape: images.shape), run: run.id, cut: cut.timestep,
                mask: mask)
        }
    }

    /// - Returns: [N, C, H, W], row-major: x at the cut, of each image as its record says.
    func mask(_ images: OwnImages, _ records: [ReleaseRecord]) throws(ClientError) -> [Float] {
        // Images whose releases have the same history are masked together.
        var groups: [[Stage]: [Int]] = [:]
        for (row, record) in records.enumerated() { groups[try stages(record), default: []].append(row) }
        let each = images.values.count / images.count
        var result = [Float](repeating: 0, count: images.values.count)
        for (stages, rows) in groups {
            let masked = try mask(images.rows(rows), through: stages, images: rows.map { records[$0].name.image })
            for (place, row) in rows.enumerated() {
                result.replaceSubrange(row * each..<(row + 1) * each, with: masked[place * each..<(place + 1) * each])
            }
        }
        return result
    }

    /// A stop on the way from the image to its release.
    private struct Stage: Hashable {
        let cut: Int
        let mask: UInt32
    }

    /// The earliest release first, the one asked for last.
    private func stages(_ record: ReleaseRecord) throws(ClientError) -> [Stage] {
        var stages = [Stage(cut: record.name.cut, mask: record.name.mask)]
        var next = record.parent
        while let parent = next {
            stages.append(Stage(cut: parent.cut, mask: parent.mask))
            let name = ReleaseName(
                image: record.name.image, run: record.name.run, cut: parent.cut, mask: parent.mask)
            guard let known = book.record(name) else {
                throw ClientError(.storage, "the ledger names a release that it does not have: restore it from a copy")
            }
            next = known.parent
        }
        return stages.reversed()
    }

    private func mask(
        _ images: OwnImages, through stages: [Stage], images names: [ImageID]
    ) throws(ClientError) -> [Float] {
        let schedule = run.descriptor.schedule
        var masked: MaskedImages?
        var parent: ReleaseRecord.Parent?
        for stage in stages {
            let cut: Cut
            do { cut = try Cut(stage.cut, on: schedule) } catch { throw ClientError(.storage, error.message) }
            let records = names.map { name in
                ReleaseRecord(
                    name: ReleaseName(image: name, run: run.id, cut: stage.cut, mask: stage.mask), parent: parent,
                    snr: schedule.snr(stage.cut))
            }
            let noise = try noise(for: records, shape: images.shape)
            if let earlier = masked {
                masked = earlier.noised(to: cut, on: schedule, with: noise)
            } else {
                masked = Diffusion.mask(try images.asPrivate(), at: cut, on: schedule, with: noise)
            }
            parent = ReleaseRecord.Parent(cut: stage.cut, mask: stage.mask)
        }
        guard let masked else { preconditionFailure("a release has at least one stage") }
        return masked.x.floats
    }

    /// ε for each image, from a key stream of its own.
    private func noise(for records: [ReleaseRecord], shape: [Int]) throws(ClientError) -> MaskingNoise {
        let schedule = run.descriptor.schedule
        let length = MaskingNoise.byteCount(imageShape: shape, on: schedule)
        do {
            var streams: [UInt8] = []
            streams.reserveCapacity(records.count * length)
            for record in records { streams += try key.stream(for: record, byteCount: length) }
            return try streams.withUnsafeBytes { bytes in
                try MaskingNoise(
                    streams: records.indices.map {
                        UnsafeRawBufferPointer(rebasing: bytes[$0 * length..<($0 + 1) * length])
                    },
                    imageShape: shape, on: schedule)
            }
        } catch {
            throw ClientError(.badImages, "\(error)")
        }
    }
}

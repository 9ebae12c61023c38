internal import Chain
internal import Diffusion
internal import Disk
public import Foundation
internal import Images
internal import Safetensors

/// Samples that were drawn, with what they were at the cut.
public struct SampleSet: Sendable {
    /// One for each sample.
    public private(set) var labels: [Int] = []
    /// x_0 in [−1, 1], one sample after another, each C × H × W.
    public private(set) var values: [Float] = []
    /// x_ζ as the workers sent it, likewise.
    private(set) var atCut: [Float] = []
    /// Backbone versions that made them.
    public private(set) var versions: Set<UInt64> = []
    /// What they were drawn with.
    public let seed: UInt64
    /// Labels of this client, and that for none.
    private let held: Set<Int>
    private let shape: [Int]

    init(imageShape: RunDescriptor.ImageShape, held: Set<Int>, seed: UInt64) {
        self.seed = seed
        shape = [imageShape.channels, imageShape.height, imageShape.width]
        self.held = held
    }

    public var count: Int { labels.count }

    mutating func add(_ drawn: [HeadSampler.Drawn], version: UInt64) {
        for sample in drawn {
            labels.append(sample.label)
            values += sample.final
            atCut += sample.atCut
        }
        versions.insert(version)
    }

    /// Makes the folder that samples are to be written to, and tries it.
    ///
    /// - Throws: `badSettings` when nothing can be written there.
    public static func check(writable folder: URL) throws(ClientError) {
        do {
            try Self.makeFolder(folder)
            let trial = folder.appending(path: ".\(UUID().uuidString)")
            try DurableFile.write([UInt8](), to: trial)
            try DurableFile.remove(trial)
        } catch let error as DiskError {
            throw ClientError(.badSettings, "nothing can be written to the folder \(folder.path): \(error.message)")
        } catch {
            throw ClientError(
                .badSettings,
                "the folder \(folder.path) cannot be made, or is none: \(error.localizedDescription) Name another")
        }
    }

    private static func makeFolder(_ folder: URL) throws {
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    /// Writes, for the owner's eyes only, `samples.safetensors` and, where labels were drawn that this client does not hold, `unseen.safetensors`: `images`
    /// [N, C, H, W] float in [−1, 1], `at_cut` likewise but unbounded, `labels` [N].
    public func write(to folder: URL) throws {
        do {
            try Self.makeFolder(folder)
            let own = labels.indices.filter { held.contains(labels[$0]) }
            let unseen = labels.indices.filter { !held.contains(labels[$0]) }
            try DurableFile.write(archive(own).encoded(), to: folder.appending(path: "samples.safetensors"))
            if !unseen.isEmpty {
                try DurableFile.write(archive(unseen).encoded(), to: folder.appending(path: "unseen.safetensors"))
            }
        } catch {
            throw ClientError(.storage, "the samples cannot be written to \(folder.path): \(error)")
        }
    }

    private func archive(_ rows: [Int]) throws -> SafetensorsArchive {
        var archive = SafetensorsArchive()
        try archive.append(
            .init(name: "images", shape: [rows.count] + shape, floats: rows.flatMap { Array(row($0, of: values)) }))
        try archive.append(
            .init(name: "at_cut", shape: [rows.count] + shape, floats: rows.flatMap { Array(row($0, of: atCut)) }))
        try archive.append(.init(name: "labels", shape: [rows.count], int64s: rows.map { Int64(labels[$0]) }))
        return archive
    }

    private func row(_ index: Int, of values: [Float]) -> ArraySlice<Float> {
        let each = shape.reduce(1, *)
        return values[index * each..<(index + 1) * each]
    }

    /// The first samples of a label: (x_ζ, x_0) of each.
    func pictures(of label: Int, most: Int) -> [(atCut: [Float], final: [Float])] {
        labels.indices.filter { labels[$0] == label }.prefix(most).map {
            (Array(row($0, of: atCut)), Array(row($0, of: values)))
        }
    }
}

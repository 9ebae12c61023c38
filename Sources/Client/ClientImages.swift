internal import Chain
internal import Diffusion
internal import Foundation
internal import Images

/// A client's own images, read and checked against the run. They stay in this process.
public struct ClientImages: Sendable {
    /// Which of a set's images: those to train on, those held out to judge by, or both.
    public enum Part: String, Sendable, CaseIterable {
        case train
        case heldOut = "held-out"
        case all
    }

    let source: ImageSet
    /// The run's number for "no label".
    private let nullLabel: Int

    /// - Parameter labels: only images of these; nil: all.
    /// - Throws: `badImages`, naming the file.
    init(at url: URL, labels: [Int]?, part: Part, run: RunDescriptor) throws(ClientError) {
        let shape = ImageShape(channels: run.image.channels, height: run.image.height, width: run.image.width)
        for label in labels ?? [] where !(0..<run.nullLabel).contains(label) {
            let known = run.labels.isEmpty ? "none" : "0…\(run.nullLabel - 1)"
            throw ClientError(.badRequest, "label \(label) is out of range: the run's labels are \(known)")
        }
        let all: ImageSet
        do { all = try ImageSet(contentsOf: url, shape: shape, labelNames: run.labels) } catch {
            throw ClientError(.badImages, error.message)
        }
        let chosen: ImageSet.Part? =
            switch part {
            case .train: .training
            case .heldOut: .heldOut
            case .all: nil
            }
        source = all.filtered(labels: labels.map(Set.init), part: chosen)
        guard source.count > 0 else {
            throw ClientError(.badImages, "\(url.path) has no image of these labels and this split")
        }
        nullLabel = run.nullLabel
    }

    public var count: Int { source.count }

    /// The labels that occur, rising.
    public var labels: [Int] { Set(source.items.compactMap(\.label)).sorted() }

    /// One for each image; the run's number for "none" where there is none.
    var labelOfEach: [Int] { source.items.map { $0.label ?? nullLabel } }

    /// What the ledger and the jobs of these images are made from.
    func own(_ indices: some Collection<Int>) throws(ClientError) -> OwnImages {
        try OwnImages(values: values(indices), shape: imageShape, labels: indices.map { source.items[$0].label })
    }

    /// [indices.count, C, H, W] in [−1, 1].
    func values(_ indices: some Collection<Int>) throws(ClientError) -> [Float] {
        do { return try source.values(indices) } catch { throw ClientError(.badImages, error.message) }
    }

    var imageShape: [Int] { [source.shape.channels, source.shape.height, source.shape.width] }

    /// All of them behind the wall.
    func privateImages() throws -> PrivateImages {
        try PrivateImages(values(0..<count), shape: [count] + imageShape)
    }
}

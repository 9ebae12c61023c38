internal import Foundation
internal import Images
internal import Launch
internal import Safetensors
internal import Torch

/// The real images of a run, split as the clients split them. Only the closing report of a run on one machine sees those of all.
struct RunImages {
    let training: LabelledImages
    let heldOut: LabelledImages
    /// For each training image the client that holds it; nil: nobody.
    let holder: [String?]
    let shape: ImageShape

    init(_ plan: PlanRecord) throws {
        let shape = ImageShape(channels: plan.image[0], height: plan.image[1], width: plan.image[2])
        self.shape = shape
        var training: (values: [Float], labels: [Int]) = ([], []), heldOut: (values: [Float], labels: [Int]) = ([], [])
        var holder: [String?] = []
        // Clients that name the same file hold different labels of it.
        for path in Set(plan.clients.map(\.images)).sorted() {
            let all = try ImageSet(contentsOf: URL(filePath: path), shape: shape, labelNames: plan.labels)
            for (index, item) in all.items.enumerated() {
                guard let label = item.label else { continue }
                let values = try all.image(at: index).values
                switch item.part {
                case .training:
                    training.values += values
                    training.labels.append(label)
                    holder.append(
                        plan.clients.first { $0.images == path && $0.labels?.contains(label) ?? true }?.name)
                case .heldOut:
                    heldOut.values += values
                    heldOut.labels.append(label)
                }
            }
        }
        self.holder = holder
        self.training = try Self.labelled(training, shape, plan)
        self.heldOut = try Self.labelled(heldOut, shape, plan)
    }

    private static func labelled(
        _ set: (values: [Float], labels: [Int]), _ shape: ImageShape, _ plan: PlanRecord
    ) throws -> LabelledImages {
        try LabelledImages(
            images: Tensor(set.values, shape: [set.labels.count, shape.channels, shape.height, shape.width]),
            labels: set.labels, classes: plan.labels.count)
    }
}

extension LabelledImages {
    /// Samples as `collafuse client sample` wrote them; nil: there is no such file.
    init?(samples file: URL, classes: Int) throws {
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        let archive = try SafetensorsArchive(contentsOf: file)
        let entry = try archive.entry("images")
        guard entry.count > 0 else { return nil }
        try self.init(
            images: Tensor(entry.floats(), shape: entry.shape), labels: archive.integers("labels"), classes: classes)
    }

    /// Those with one of these labels.
    func of(_ labels: [Int]) -> LabelledImages {
        selecting(self.labels.indices.filter { labels.contains(self.labels[$0]) })
    }
}

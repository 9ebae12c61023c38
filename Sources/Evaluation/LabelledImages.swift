package import Torch

/// Images with their labels: what a classifier learns from and is measured on.
package struct LabelledImages {
    /// [N, C, H, W] float32, scaled to [−1, 1] unless noise was added.
    package let images: Tensor
    /// N labels in 0 ..< classes.
    package let labels: [Int]
    package let classes: Int

    package var count: Int { labels.count }

    /// Throws `mismatch`, `badLabel`, `notFinite`, and `tooFew` for no image at all.
    package init(images: Tensor, labels: [Int], classes: Int) throws(EvaluationError) {
        guard images.rank == 4, images.dtype == .float32, images.size(0) == labels.count else {
            throw EvaluationError(
                .mismatch, "\(labels.count) labels and images \(images) instead of float32 [N, C, H, W].")
        }
        guard !labels.isEmpty else { throw EvaluationError(.tooFew, "There is no image to measure.") }
        if let label = labels.first(where: { !(0..<classes).contains($0) }) {
            throw EvaluationError(.badLabel, "A label is \(label), but there are \(classes) classes counted from 0.")
        }
        guard images.isFinite else { throw EvaluationError(.notFinite, "An image contains NaN or infinity.") }
        self.init(unchecked: images, labels, classes)
    }

    private init(unchecked images: Tensor, _ labels: [Int], _ classes: Int) {
        self.images = images
        self.labels = labels
        self.classes = classes
    }

    /// These images, in this order.
    package func selecting(_ rows: [Int]) -> LabelledImages {
        LabelledImages(unchecked: images.gathered(0, rows: Tensor(rows)), rows.map { labels[$0] }, classes)
    }

    /// The same labels with the images changed, for example noised.
    package func mapImages(_ change: (Tensor) -> Tensor) -> LabelledImages {
        LabelledImages(unchecked: change(images), labels, classes)
    }

    /// Share of the most common label: what a guess without looking gets right.
    package var chance: Double {
        let counts = labels.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        return Double(counts.values.max() ?? 0) / Double(count)
    }
}

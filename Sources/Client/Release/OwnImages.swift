internal import Diffusion

/// An owner's images on their way to be masked. They are kept as plain values because their names in the ledger are made from
/// them; nothing can be sent but what ``Release`` makes of them.
package struct OwnImages: Sendable {
    /// [N, C, H, W], row-major, in [−1, 1].
    let values: [Float]
    /// [C, H, W]
    let shape: [Int]
    /// One for each image; nil: none.
    let labels: [Int?]

    /// - Throws: `.badImages` for another number of values, or one outside [−1, 1]; `.badRequest` for a negative label.
    package init(values: [Float], shape: [Int], labels: [Int?]) throws(ClientError) {
        let each = shape.reduce(1, *)
        guard shape.count == 3, shape.allSatisfy({ $0 > 0 }), !labels.isEmpty, values.count == labels.count * each
        else {
            throw ClientError(
                .badImages,
                "\(values.count) values are not \(labels.count) images of shape \(shape): [C, H, W] is wanted")
        }
        guard values.allSatisfy({ $0 >= -1 && $0 <= 1 }) else {
            throw ClientError(
                .badImages, "an image has a value outside [−1, 1] or one that is no number: scale it first")
        }
        self.values = values
        self.shape = shape
        self.labels = labels
    }

    package var count: Int { labels.count }

    /// The values of one image.
    func image(_ index: Int) -> ArraySlice<Float> {
        let each = values.count / count
        return values[index * each..<(index + 1) * each]
    }

    /// Some of the images, in the order asked for.
    func rows(_ rows: [Int]) throws(ClientError) -> OwnImages {
        try OwnImages(values: rows.flatMap { image($0) }, shape: shape, labels: rows.map { labels[$0] })
    }

    func asPrivate() throws(ClientError) -> PrivateImages {
        do { return try PrivateImages(values, shape: [count] + shape) } catch {
            throw ClientError(.badImages, error.message)
        }
    }
}

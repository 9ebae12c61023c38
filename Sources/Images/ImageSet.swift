internal import Foundation

/// Images of one shape, some of them labelled: a folder of files or one safetensors file.
///
///     let digits = try ImageSet(contentsOf: url, shape: shape, labelNames: (0...9).map(String.init))
///     let mine = digits.filtered(labels: [4, 5, 6], part: .training)
///     let batch = try mine.values(0..<32)      // [32, 1, 8, 8], row-major
///
/// What a folder and a file hold is said in `ImageSet+Reading.swift`. An item's name stays the same whatever was filtered
/// and in whatever order the file system lists files, so that a ledger can be kept under it.
package struct ImageSet: Sendable {
    /// Images that models and settings may see, and those kept to judge them by.
    package enum Part: Hashable, Sendable {
        case training, heldOut
    }

    package struct Item: Hashable, Sendable {
        /// The path below the folder ("3/0001.png"), or the file's name and the row ("digits.safetensors#17").
        package let name: String
        /// An index into the run's label names.
        package let label: Int?
        package let part: Part
        /// Where the pixels are: see `Storage`.
        let row: Int
    }

    /// Files are decoded when they are asked for; a safetensors file is held as it is.
    enum Storage: Sendable {
        case files([URL])
        /// Rows of `shape.count` bytes, 0…maximum.
        case levels([UInt8], maximum: UInt8)
        /// Rows of `shape.count` values in [−1, 1].
        case values([Float])
    }

    package let shape: ImageShape
    package let items: [Item]
    private let storage: Storage

    init(shape: ImageShape, items: [Item], storage: Storage) {
        self.shape = shape
        self.items = items
        self.storage = storage
    }

    package var count: Int { items.count }

    /// The items that have one of `labels` (nil: any, unlabelled too) and belong to `part` (nil: either).
    package func filtered(labels: Set<Int>? = nil, part: Part? = nil) -> ImageSet {
        let kept = items.filter { item in
            let labelFits = labels.map { wanted in item.label.map(wanted.contains) ?? false } ?? true
            return labelFits && (part == nil || item.part == part)
        }
        return ImageSet(shape: shape, items: kept, storage: storage)
    }

    /// Throws what reading the file throws; a set from a safetensors file was checked when it was opened.
    package func image(at index: Int) throws(ImageError) -> Image {
        let row = items[index].row
        let range = row * shape.count..<(row + 1) * shape.count
        switch storage {
        case .files(let urls): return try ImageFile.read(urls[row], shape: shape)
        case .values(let values): return Image(shape: shape, values: Array(values[range]))
        case .levels(let levels, let maximum):
            let scale = 2 / Float(maximum)
            return Image(shape: shape, values: levels[range].map { Float($0) * scale - 1 })
        }
    }

    /// The images at `indices`, one after another: [count, channels, height, width].
    package func values(_ indices: some Collection<Int>) throws(ImageError) -> [Float] {
        var result: [Float] = []
        result.reserveCapacity(indices.count * shape.count)
        for index in indices { result += try image(at: index).values }
        return result
    }
}

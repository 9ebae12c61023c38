package import Foundation
internal import Safetensors

extension ImageSet {
    /// Opens a folder or a safetensors file, whichever is there.
    ///
    /// - A folder: every PNG and JPEG below it. Those in a sub-folder have its name as their label, which must be one of
    ///   `labelNames`; those directly in the folder have none. All are training images.
    /// - A safetensors file: `images`, U8 or F32, [N, H, W] or [N, C, H, W]; U8 runs from 0 to the metadata's `maximum`
    ///   (255 without), F32 from −1 to 1. `labels` (whole numbers [N], optional) index `labelNames`. `split` (whole
    ///   numbers [N], optional): 1 is held out.
    ///
    /// Pictures have 1 or 3 channels; a run's images of another number of channels lie in a safetensors file.
    ///
    /// With empty `labelNames` the run has no labels, and none are read.
    package init(contentsOf url: URL, shape: ImageShape, labelNames: [String]) throws(ImageError) {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw ImageError(.unreachable, "there is no folder or file \(url.path)")
        }
        if isFolder.boolValue {
            try self.init(folder: url, shape: shape, labelNames: labelNames)
        } else {
            try self.init(file: url, shape: shape, labelNames: labelNames)
        }
    }

    private init(folder: URL, shape: ImageShape, labelNames: [String]) throws(ImageError) {
        guard [1, 3].contains(shape.channels) else {
            throw ImageError(
                .wrongShape,
                "\(folder.path) is a folder of pictures, which have 1 or 3 channels, and the run's images are \(shape): give a safetensors "
                    + "file with `images` [N, \(shape.channels), \(shape.height), \(shape.width)]")
        }
        guard let found = FileManager.default.subpaths(atPath: folder.path) else {
            throw ImageError(.unreachable, "the folder \(folder.path) cannot be read")
        }
        // Sorted, because file systems list in any order; hidden files are not images.
        let paths = found.sorted().filter { path in
            ImageFile.endings.contains((path as NSString).pathExtension.lowercased())
                && !path.split(separator: "/").contains { $0.hasPrefix(".") }
        }
        guard !paths.isEmpty else { throw ImageError(.badSet, "no PNG or JPEG file lies in \(folder.path)") }
        var items: [Item] = []
        for (row, path) in paths.enumerated() {
            let parts = path.split(separator: "/")
            var label: Int?
            if parts.count > 1, !labelNames.isEmpty {
                guard let index = labelNames.firstIndex(of: String(parts[0])) else {
                    throw ImageError(
                        .badLabel,
                        "the folder \(folder.appendingPathComponent(String(parts[0])).path) is named after no label of the run "
                            + "(\(labelNames.joined(separator: ", ")))")
                }
                label = index
            }
            items.append(Item(name: path, label: label, part: .training, row: row))
        }
        self.init(shape: shape, items: items, storage: .files(paths.map { folder.appendingPathComponent($0) }))
    }

    private init(file: URL, shape: ImageShape, labelNames: [String]) throws(ImageError) {
        do {
            let archive = try SafetensorsArchive(contentsOf: file)
            let images = try archive.entry("images")
            let count = images.shape.first ?? 0
            let own = try Self.imageShape(images.shape, of: file)
            guard own == shape else {
                throw ImageError(
                    .wrongShape,
                    "the images of \(file.path) are \(own) (channels × height × width), and the run's are \(shape)")
            }
            guard count > 0 else { throw ImageError(.badSet, "\(file.path) holds no image") }
            let labels =
                labelNames.isEmpty || archive["labels"] == nil ? nil : try archive.integers("labels", shape: [count])
            let split = archive["split"] == nil ? nil : try archive.integers("split", shape: [count])
            if let labels, let row = labels.firstIndex(where: { !labelNames.indices.contains($0) }) {
                throw ImageError(
                    .badLabel,
                    "image \(row) of \(file.path) has the label \(labels[row]), and the run has labels 0 to \(labelNames.count - 1)"
                )
            }
            let items = (0..<count).map { row in
                Item(
                    name: "\(file.lastPathComponent)#\(row)", label: labels?[row],
                    part: split?[row] == 1 ? .heldOut : .training, row: row)
            }
            self.init(
                shape: shape, items: items,
                storage: try Self.storage(of: images, maximum: archive.metadata["maximum"], file: file))
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError(.badSet, "\(file.path) is no image set: \(error)")
        }
    }

    private static func imageShape(_ shape: [Int], of file: URL) throws(ImageError) -> ImageShape {
        switch shape.count {
        case 3: ImageShape(channels: 1, height: shape[1], width: shape[2])
        case 4: ImageShape(channels: shape[1], height: shape[2], width: shape[3])
        default:
            throw ImageError(
                .badSet, "'images' of \(file.path) has the shape \(shape): it must be [N, H, W] or [N, C, H, W]")
        }
    }

    private static func storage(
        of images: SafetensorsArchive.Entry, maximum text: String?, file: URL
    ) throws -> Storage {
        switch images.type {
        case .uint8:
            guard let maximum = UInt8(text ?? "255"), maximum > 0 else {
                throw ImageError(
                    .badSet, "the metadata of \(file.path) says maximum = \(text ?? ""): it must be 1 to 255")
            }
            let levels = [UInt8](images.bytes)
            guard levels.allSatisfy({ $0 <= maximum }) else {
                throw ImageError(.badSet, "\(file.path) has values above its maximum of \(maximum)")
            }
            return .levels(levels, maximum: maximum)
        case .float32:
            let values = try images.floats()
            guard values.allSatisfy({ abs($0) <= 1 }) else {
                throw ImageError(.badSet, "\(file.path) has values outside −1 to 1")
            }
            return .values(values)
        default:
            throw ImageError(.badSet, "'images' of \(file.path) is \(images.type.rawValue): it must be U8 or F32")
        }
    }
}

internal import Foundation
internal import Safetensors
internal import Torch

/// The weights in a model's folder, from one file or several.
///
///     diffusion_pytorch_model.safetensors                   one file
///     diffusion_pytorch_model.fp16.safetensors              one file of a variant, where there is no plain one
///     diffusion_pytorch_model.safetensors.index.json        names the file of each tensor, beside the files
///     diffusion_pytorch_model.safetensors.index.fp16.json   likewise, of a variant
struct ModelWeights {
    /// Of the last file read, for errors.
    let name: String
    let archive: SafetensorsArchive

    static let file = "diffusion_pytorch_model.safetensors"
    static let indexFile = file + ".index.json"
    private static let pickled = ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.bin.index.json"]

    /// - Throws: `badDirectory` where there is no file of weights, `badModel` for one that cannot be read.
    init(contentsOf folder: URL) throws(DiffusionError) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        if names.contains(Self.file) {
            self = try ModelWeights(folder, Self.file)
        } else if names.contains(Self.indexFile) {
            self = try ModelWeights(sharded: folder, Self.indexFile)
        } else if let index = names.filter({ $0.hasPrefix(Self.file + ".index.") && $0.hasSuffix(".json") }).sorted()
            .first
        {
            self = try ModelWeights(sharded: folder, index)
        } else if let variant = names.filter({
            $0.hasPrefix("diffusion_pytorch_model.") && $0.hasSuffix(".safetensors")
        })
        .sorted().first {
            self = try ModelWeights(folder, variant)
        } else if let old = Self.pickled.first(where: names.contains) {
            throw DiffusionError(
                .badDirectory,
                "\(folder.path) has its weights in \(old) alone, a pickled file that may hold any program and is not opened here: "
                    + "convert it where you trust it, with UNet2DModel.from_pretrained(DIR).save_pretrained(OTHER)")
        } else {
            throw DiffusionError(.badDirectory, "\(folder.path) has no \(Self.file) that can be read")
        }
    }

    private init(_ folder: URL, _ name: String) throws(DiffusionError) {
        self.name = "\(folder.lastPathComponent)/\(name)"
        do { archive = try SafetensorsArchive(contentsOf: folder.appending(path: name)) } catch {
            throw DiffusionError(.badModel, "\(folder.lastPathComponent)/\(name): \(error.message)")
        }
    }

    private init(sharded folder: URL, _ index: String) throws(DiffusionError) {
        name = "\(folder.lastPathComponent)/\(index)"
        let map: [String: String]
        do {
            map = try JSONDecoder().decode(Index.self, from: Data(contentsOf: folder.appending(path: index)))
                .weightMap
        } catch {
            throw DiffusionError(.badModel, "\(name) cannot be read: a weight_map from tensors to files is wanted")
        }
        var whole = SafetensorsArchive()
        for shard in Set(map.values).sorted() {
            // The name comes from a foreign file and must not lead out of the folder.
            guard !shard.contains("/"), !shard.hasPrefix(".") else {
                throw DiffusionError(.badModel, "\(name): '\(shard)' is no file's name")
            }
            for entry in try ModelWeights(folder, shard).archive.entries where map[entry.name] == shard {
                do { try whole.append(entry) } catch { throw DiffusionError(.badModel, "\(name): \(error.message)") }
            }
        }
        if let missing = map.keys.sorted().first(where: { whole[$0] == nil }) {
            throw DiffusionError(.badModel, "\(name): '\(missing)' is not in \(map[missing] ?? "") as it says")
        }
        archive = whole
    }

    private struct Index: Decodable {
        let weightMap: [String: String]
        enum CodingKeys: String, CodingKey { case weightMap = "weight_map" }
    }
}

extension ModelWeights {
    /// The type that most of the values have: what a model is loaded as when nobody says otherwise.
    var dtype: DType {
        var sizes: [DType: Int] = [:]
        for entry in archive.entries where DType(entry.type).isFloatingPoint {
            sizes[DType(entry.type), default: 0] += entry.count
        }
        return sizes.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key ?? .float32
    }

    /// Fills the network; everything is checked before the first parameter changes.
    ///
    /// - Throws: `badModel`, naming the tensor at fault.
    func fill(_ network: UNet) throws(DiffusionError) {
        do {
            try network.load(renamed(archive, for: network.namedParameters))
        } catch let error as TorchError {
            throw DiffusionError(.badModel, name, because: error)
        } catch {
            throw DiffusionError(.badModel, "\(name): \(error)")
        }
    }
}

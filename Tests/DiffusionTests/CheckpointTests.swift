import Chain
import Diffusion
import Foundation
import Safetensors
import Testing
import Torch

/// Checkpoints in the forms that they come in from elsewhere.
final class CheckpointTests {
    private let folder: URL
    private let golden: SafetensorsArchive

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "checkpoint-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: goldens("unet-cifar"), to: folder)
        golden = try SafetensorsArchive(contentsOf: folder.appending(path: "golden.safetensors"))
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private var weights: URL { folder.appending(path: ModelDirectory.weightsFile) }

    private func saysTheSame(_ folder: URL) throws {
        let network = try UNet(contentsOf: folder)
        let output = try NetworkInputs(golden, for: network).output(of: network)
        #expect(difference(output, try Tensor(golden.entry("output"))) < 1e-5)
    }

    private func rewrite(_ change: (SafetensorsArchive.Entry) throws -> SafetensorsArchive.Entry?) throws {
        let whole = try SafetensorsArchive(contentsOf: weights)
        var result = SafetensorsArchive(metadata: ["format": "pt"])
        for entry in whole.entries { if let changed = try change(entry) { try result.append(changed) } }
        try result.write(to: weights)
    }

    private func refused(_ code: DiffusionError.Code, naming text: String) {
        #expect { try UNet(contentsOf: folder) } throws: {
            let error = $0 as? DiffusionError
            return error?.code == code && error?.message.contains(text) == true
        }
    }

    /// As in google/ddpm-cifar10-32, whose attention was saved by diffusers 0.0.4; and as convolutions of one pixel.
    @Test(arguments: [false, true])
    func oldNamesOfAttention(asConvolutions: Bool) throws {
        let names = ["to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."]
        var changed = 0
        try rewrite { entry in
            guard let (new, old) = names.first(where: { entry.name.contains($0.key) }) else { return entry }
            changed += 1
            let shape = asConvolutions && entry.shape.count == 2 ? entry.shape + [1, 1] : entry.shape
            return try .init(
                name: entry.name.replacing(new, with: old), type: entry.type, shape: shape, bytes: entry.bytes)
        }
        #expect(changed == 6 * 8)
        try saysTheSame(folder)
    }

    /// As in DDPM's own code, where a layer over channels is a matrix [in, out].
    @Test func namesOfDDPM() throws {
        let names = ["to_q.": "NIN_0.", "to_k.": "NIN_1.", "to_v.": "NIN_2.", "to_out.0.": "NIN_3."]
        try rewrite { entry in
            guard let (new, old) = names.first(where: { entry.name.contains($0.key) }) else {
                return try .init(
                    name: entry.name.replacing("group_norm", with: "GroupNorm_0"), type: entry.type,
                    shape: entry.shape, bytes: entry.bytes)
            }
            let name = entry.name.replacing(new, with: old).replacing(".weight", with: ".W").replacing(
                ".bias", with: ".b")
            return try Tensor(entry).transposed(0, entry.shape.count - 1).entry(named: name)
        }
        try saysTheSame(folder)
    }

    /// A name that is old for attention is nothing elsewhere.
    @Test func unknownNamesAreNamed() throws {
        try rewrite { $0.name == "conv_in.bias" ? nil : $0 }
        refused(.badModel, naming: "conv_in.bias")
        try rewrite { try .init(name: "extra." + $0.name, type: $0.type, shape: $0.shape, bytes: $0.bytes) }
        refused(.badModel, naming: "conv_in.weight")
    }

    @Test func shards() throws {
        let whole = try SafetensorsArchive(contentsOf: weights)
        var map: [String: String] = [:], shards = [SafetensorsArchive(), SafetensorsArchive()]
        for (index, entry) in whole.entries.enumerated() {
            try shards[index % 2].append(entry)
            map[entry.name] = "diffusion_pytorch_model-0000\(index % 2 + 1)-of-00002.safetensors"
        }
        for (index, shard) in shards.enumerated() {
            try shard.write(
                to: folder.appending(path: "diffusion_pytorch_model-0000\(index + 1)-of-00002.safetensors"))
        }
        try FileManager.default.removeItem(at: weights)
        let index = folder.appending(path: ModelDirectory.weightsFile + ".index.json")
        func write(_ map: [String: String]) throws {
            try JSONEncoder().encode(["weight_map": map]).write(to: index)
        }
        try write(map)
        try saysTheSame(folder)
        // So are those of a variant, which diffusers names thus.
        let variant = folder.appending(path: ModelDirectory.weightsFile + ".index.fp16.json")
        try FileManager.default.moveItem(at: index, to: variant)
        try saysTheSame(folder)
        try FileManager.default.removeItem(at: variant)
        // A shard may not lie elsewhere, and must hold what the index says.
        map["conv_in.bias"] = "../diffusion_pytorch_model-00001-of-00002.safetensors"
        try write(map)
        refused(.badModel, naming: "../diffusion")
        map["conv_in.bias"] = whole["conv_in.bias"].map { _ in "diffusion_pytorch_model-00001-of-00002.safetensors" }
        map["nothing"] = "diffusion_pytorch_model-00001-of-00002.safetensors"
        try write(map)
        refused(.badModel, naming: "is not in")
        try Data("{}".utf8).write(to: index)
        refused(.badModel, naming: "weight_map")
    }

    @Test func variantsPipelinesAndPickles() throws {
        let variant = folder.appending(path: "diffusion_pytorch_model.fp16.safetensors")
        try FileManager.default.moveItem(at: weights, to: variant)
        try saysTheSame(folder)
        // A pipeline keeps its parts in folders of their own.
        let unet = folder.appending(path: "unet"), scheduler = folder.appending(path: "scheduler")
        try FileManager.default.createDirectory(at: unet, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(at: scheduler, withIntermediateDirectories: true)
        for name in [ModelDirectory.configFile, variant.lastPathComponent] {
            try FileManager.default.moveItem(at: folder.appending(path: name), to: unet.appending(path: name))
        }
        try FileManager.default.moveItem(
            at: folder.appending(path: ModelDirectory.schedulerFile),
            to: scheduler.appending(path: ModelDirectory.schedulerFile))
        try saysTheSame(folder)
        #expect(try ModelDirectory(contentsOf: folder).schedule.timesteps == 1000)
        try FileManager.default.moveItem(
            at: unet.appending(path: variant.lastPathComponent), to: unet.appending(path: "diffusion_pytorch_model.bin")
        )
        refused(.badDirectory, naming: "diffusion_pytorch_model.bin")
    }

    /// Read as it is stored, written and read again, nothing changes; converted, everything does.
    @Test(arguments: [DType.bfloat16, .float16])
    func halfPrecisionIsKept(dtype: DType) throws {
        let other = folder.appending(path: "half"), again = folder.appending(path: "again")
        try ModelDirectory(contentsOf: folder, dtype: dtype).write(to: other)
        let half = try ModelDirectory(contentsOf: other, dtype: nil)
        #expect(half.network.dtype == dtype && half.network.parameters.allSatisfy { $0.dtype == dtype })
        try half.write(to: again)
        #expect(
            try Data(contentsOf: other.appending(path: ModelDirectory.weightsFile))
                == Data(contentsOf: again.appending(path: ModelDirectory.weightsFile)))
        #expect(try UNet(contentsOf: folder, dtype: nil).dtype == .float32)
    }

    @Test func weightsTooLargeForFloat16AreRefusedThere() throws {
        try rewrite { entry in
            guard entry.name == "conv_in.bias" else { return entry }
            return try .init(
                name: entry.name, shape: entry.shape, floats: [1e5] + Array(repeating: 0, count: entry.count - 1))
        }
        _ = try UNet(contentsOf: folder, dtype: .bfloat16)
        #expect { try UNet(contentsOf: folder, dtype: .float16) } throws: {
            ($0 as? DiffusionError)?.message.contains("conv_in.bias") == true
        }
    }
}

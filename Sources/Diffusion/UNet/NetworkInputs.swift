package import Safetensors
package import Torch

/// What a network is called with, from a file; named as the arguments of diffusers' `forward`.
///
///     sample                   [N, C, H, W]
///     timestep                 [N], or one number for all; as in diffusers, t − 1
///     class_labels             [N], or [N, time width]; where the network has classes
///     encoder_hidden_states    [N, S, D], or [1, S, D] for all; where it looks at text
///
///     let output = try NetworkInputs(archive, for: network).output(of: network)
package struct NetworkInputs {
    private let sample: Tensor
    private let timesteps: Tensor
    private let labels: Tensor?
    private let text: Tensor?
    /// What a person may have meant otherwise: tensors that nobody looks at, timesteps that the network has not seen.
    package let notes: [String]

    /// - Parameter steps: T of the chain that the network was trained on; nil: nobody says.
    /// - Throws: `badInput`, naming the tensor at fault.
    package init(
        _ archive: SafetensorsArchive, for network: UNet, trainedOn steps: Int? = nil
    ) throws(DiffusionError) {
        let configuration = network.configuration
        let sample = try Self.finite(archive, "sample")
        let factor = 1 << (configuration.blockOutChannels.count - 1), shape = sample.shape
        guard shape.count == 4, shape[0] > 0, shape[1] == configuration.inChannels, sample.dtype.isFloatingPoint,
            shape[2] > 0, shape[3] > 0, shape[2].isMultiple(of: factor), shape[3].isMultiple(of: factor)
        else {
            throw Self.fault(
                "sample",
                "numbers [N, \(configuration.inChannels), H, W] with sides divisible by \(factor) are wanted, not \(sample.dtype)\(shape)"
            )
        }
        self.sample = sample.to(.float32)
        timesteps = try Self.timesteps(archive, shape[0], configuration)
        labels = try Self.labels(archive, shape[0], configuration)
        text = try Self.text(archive, shape[0], configuration)
        notes = Self.notes(archive, timesteps.doubles, steps, configuration)
    }

    private static let names: Set<String> = ["sample", "timestep", "class_labels", "encoder_hidden_states"]

    private static func notes(
        _ archive: SafetensorsArchive, _ timesteps: [Double], _ steps: Int?, _ configuration: UNetConfiguration
    ) -> [String] {
        var notes = archive.names.filter { !names.contains($0) }.sorted().map {
            "tensor '\($0)' is not looked at: a network is called with \(names.sorted().joined(separator: ", "))"
        }
        guard configuration.timeEmbeddingType == .positional else { return notes }
        let last = Double(steps ?? .max) - 1
        if let odd = timesteps.first(where: { $0 < 0 || $0 > last || $0 != $0.rounded() }) {
            notes.append(
                "tensor 'timestep': the network was trained on the whole numbers 0…\(steps.map { "\($0 - 1)" } ?? ""), not on \(odd)"
            )
        }
        return notes
    }

    /// [N, C, H, W] float32, whatever the network computes in.
    ///
    /// - Throws: `TorchError`, `outOfMemory` among others; `badInput` where the output is no numbers.
    package func output(of network: UNet) throws -> Tensor {
        let device = network.device
        let output = try TorchError.catching {
            withoutGradients {
                network(
                    sample.to(device), timesteps.to(device), labels?.to(device), text: text?.to(device)
                ).to(.cpu)
            }
        }
        guard output.isFinite else {
            throw DiffusionError(
                .badInput,
                "the output holds NaN or infinity: \(network.dtype) has no room for what this input becomes on the way"
                    + (network.dtype == .float16 ? "; take float32 or bfloat16" : ""))
        }
        return output
    }

    private static func timesteps(
        _ archive: SafetensorsArchive, _ count: Int, _ configuration: UNetConfiguration
    ) throws(DiffusionError) -> Tensor {
        let given = try finite(archive, "timestep")
        guard given.count == count || given.count == 1 else {
            throw fault("timestep", "one is wanted, or one for each of \(count) samples, not \(given.shape)")
        }
        let values = given.doubles
        switch configuration.timeEmbeddingType {
        case .learned:
            let last = (configuration.trainTimesteps ?? 1) - 1
            guard values.allSatisfy({ (0...Double(last)).contains($0) && $0 == $0.rounded() }) else {
                throw fault("timestep", "this network knows the whole numbers 0…\(last)")
            }
        case .fourier:
            guard values.allSatisfy({ $0 > 0 }) else {
                throw fault("timestep", "this network is told noise levels, which lie above 0")
            }
        case .positional: break
        }
        let all = given.reshaped(-1).expanded([count])
        return given.dtype.isFloatingPoint ? all.to(.float32) : all.to(.int64)
    }

    private static func labels(
        _ archive: SafetensorsArchive, _ count: Int, _ configuration: UNetConfiguration
    ) throws(DiffusionError) -> Tensor? {
        let name = "class_labels"
        guard configuration.classEmbeddings != nil || configuration.classEmbedding != nil else {
            guard archive[name] == nil else { throw fault(name, "this network has no classes: leave them out") }
            return nil
        }
        let labels = try finite(archive, name)
        if configuration.classEmbedding == .identity {
            guard labels.shape == [count, configuration.timeWidth], labels.dtype.isFloatingPoint else {
                throw fault(
                    name,
                    "numbers [\(count), \(configuration.timeWidth)] are wanted, not \(labels.dtype)\(labels.shape)")
            }
            return labels.to(.float32)
        }
        guard labels.count == count else { throw fault(name, "one is wanted for each of \(count) samples") }
        guard let rows = configuration.classEmbeddings else { return labels.reshaped(-1) }
        guard !labels.dtype.isFloatingPoint, labels.integers.allSatisfy({ (0..<rows).contains($0) }) else {
            throw fault(name, "this network knows the classes 0…\(rows - 1)")
        }
        return labels.reshaped(-1).to(.int64)
    }

    private static func text(
        _ archive: SafetensorsArchive, _ count: Int, _ configuration: UNetConfiguration
    ) throws(DiffusionError) -> Tensor? {
        let name = "encoder_hidden_states"
        guard let width = configuration.text?.width, configuration.wantsText else {
            guard archive[name] == nil else { throw fault(name, "this network looks at no text: leave them out") }
            return nil
        }
        let text = try finite(archive, name), shape = text.shape
        guard shape.count == 3, shape[0] == count || shape[0] == 1, shape[1] > 0, shape[2] == width,
            text.dtype.isFloatingPoint
        else {
            throw fault(name, "numbers [\(count), S, \(width)] are wanted, not \(text.dtype)\(shape)")
        }
        return text.expanded([count, shape[1], width])
    }

    private static func finite(_ archive: SafetensorsArchive, _ name: String) throws(DiffusionError) -> Tensor {
        guard let entry = archive[name] else {
            throw fault(name, "it is missing; the file has \(archive.names.prefix(8).joined(separator: ", "))")
        }
        do throws(TorchError) {
            let tensor = try Tensor(entry)
            guard tensor.count > 0, !tensor.dtype.isFloatingPoint || tensor.isFinite else {
                throw TorchError(.notFinite, "it is empty, or holds NaN or infinity")
            }
            return tensor
        } catch {
            throw fault(name, error.message)
        }
    }

    private static func fault(_ name: String, _ what: String) -> DiffusionError {
        DiffusionError(.badInput, "tensor '\(name)': \(what)")
    }
}

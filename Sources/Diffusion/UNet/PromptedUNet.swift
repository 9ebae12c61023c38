package import Torch

/// A text-conditioned network whose prompts are the labels of a chain: label p asks for prompt p, the last one for none.
///
///     // prompts [P + 1, S, D] from a text encoder, the last of them the empty prompt
///     let network = try PromptedUNet(unet, prompts: prompts)
///     let denoiser = try Denoiser(network, on: schedule, labels: network.prompts)     // guidance works as with classes
package struct PromptedUNet: DenoisingNetwork {
    private let network: UNet
    /// [P + 1, S, D]
    private let embeddings: Tensor

    /// - Parameter prompts: [P + 1, S, D], the last standing for "none".
    /// - Throws: `badConfig` when the network takes no text, or labels beside it; `badLabels` for embeddings of another shape or not finite.
    package init(_ network: UNet, prompts: Tensor) throws(DiffusionError) {
        let width = network.configuration.text?.width
        guard let width, network.configuration.wantsText else {
            throw DiffusionError(.badConfig, "this network takes no text: leave encoder_hidden_states out")
        }
        guard network.classEmbeddings == nil else {
            throw DiffusionError(
                .badConfig,
                "config.json: key 'num_class_embeds': text and classes together are not supported in a chain")
        }
        try network.configuration.checkChain()
        let shape = prompts.shape
        guard shape.count == 3, shape[0] >= 1, shape[1] >= 1, shape[2] == width, prompts.dtype.isFloatingPoint,
            prompts.isFinite
        else {
            throw DiffusionError(
                .badLabels,
                "embeddings of prompts [P + 1, S, \(width)] are wanted, all finite, not a tensor of shape \(shape)")
        }
        self.network = network
        embeddings = prompts.to(network.dtype).to(network.device)
    }

    /// P
    package var prompts: Int { embeddings.size(0) - 1 }

    package var classEmbeddings: Int? { embeddings.size(0) }
    package var isSelfConditioned: Bool { network.isSelfConditioned }

    package func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
        let rows = labels ?? Tensor(Array(repeating: prompts, count: x.size(0))).to(x.device)
        return network(x, timesteps, nil, text: embeddings.gathered(0, rows: rows.to(embeddings.device)))
    }

    package func name(_ parameters: inout ParameterNames) { network.name(&parameters) }
}

/// A U-Net in a chain, with prompts where it takes some.
enum ChainUNet: DenoisingNetwork {
    case plain(UNet)
    case prompted(PromptedUNet)

    /// - Parameter prompts: [P + 1, S, D]; nil for a network that takes no text.
    init(_ network: UNet, prompts: Tensor?) throws(DiffusionError) {
        if let prompts {
            self = .prompted(try PromptedUNet(network, prompts: prompts))
        } else {
            self = .plain(network)
        }
    }

    private var network: any DenoisingNetwork {
        switch self {
        case .plain(let network): network
        case .prompted(let network): network
        }
    }

    var classEmbeddings: Int? { network.classEmbeddings }
    var isSelfConditioned: Bool { network.isSelfConditioned }
    var textWidth: Int? { network.textWidth }
    func checkChain() throws(DiffusionError) { try network.checkChain() }
    func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor { network(x, timesteps, labels) }
    func name(_ parameters: inout ParameterNames) { network.name(&parameters) }
}

package import Torch

/// A network that looks at x_t and says something about its noise or its image: see `Prediction`.
///
/// The U-Net is one; tests use others.
package protocol DenoisingNetwork: Module {
    /// Rows of the class embedding; nil: not conditioned on classes.
    var classEmbeddings: Int? { get }

    /// Whether x comes with the network's own last x̂_0 beside it, as further channels: docs/maths.md (4.2).
    var isSelfConditioned: Bool { get }

    /// D: values in the embedding of a token, for a network that cannot be called without a text; nil: it looks at none.
    var textWidth: Int? { get }

    /// - Throws: `badConfig` where a chain cannot use the network, with the key at fault.
    func checkChain() throws(DiffusionError)

    /// - Parameters:
    ///   - x: [N, C, H, W]; [N, 2·C, H, W] where it is self-conditioned.
    ///   - timesteps: [N], counted as diffusers does: t − 1.
    ///   - labels: [N] int64 in 0 ..< `classEmbeddings`; nil where there are none.
    /// - Returns: [N, C, H, W]
    func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor

    /// - Parameter text: [N, S, D]; nil where it looks at none.
    func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?, text: Tensor?) -> Tensor
}

extension DenoisingNetwork {
    package var isSelfConditioned: Bool { false }
    package var textWidth: Int? { nil }
    package func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?, text: Tensor?) -> Tensor {
        self(x, timesteps, labels)
    }
    package func checkChain() throws(DiffusionError) {}
}

package import Torch

/// A network that looks at x_t and says something about its noise or its image: see `Prediction`.
///
/// The U-Net is one; tests use others.
package protocol DenoisingNetwork: Module {
    /// Rows of the class embedding; nil: not conditioned on classes.
    var classEmbeddings: Int? { get }

    /// - Parameters:
    ///   - x: [N, C, H, W]
    ///   - timesteps: [N], counted as diffusers does: t − 1.
    ///   - labels: [N] int64 in 0 ..< `classEmbeddings`; nil where there are none.
    /// - Returns: [N, C, H, W]
    func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor
}

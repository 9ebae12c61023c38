internal import Torch

/// What stands between the layers of a residual block; diffusers' `act_fn`.
package enum Activation: String, Hashable, Sendable, CaseIterable {
    case silu, mish, gelu, relu

    func callAsFunction(_ x: Tensor) -> Tensor {
        switch self {
        case .silu: x.silu()
        case .mish: x.mish()
        case .gelu: x.gelu()
        case .relu: x.relu()
        }
    }
}

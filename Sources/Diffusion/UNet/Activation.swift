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

    /// act(norm(x + shift)), in one go where there is a kernel for it.
    ///
    /// - Parameter shift: [N, C]; nil: 0.
    func callAsFunction(_ norm: GroupNorm, _ x: Tensor, shift: Tensor? = nil) -> Tensor {
        if self == .silu { return norm.silu(x, shift: shift) }
        return self(norm(shift.map { x + $0.unsqueezed(-1).unsqueezed(-1) } ?? x))
    }
}

package import Chain

extension WireSamplerKind {
    package init(_ name: Sampler.Name) {
        switch name {
        case .ddpm: self = .ddpm
        case .ddim: self = .ddim
        case .dpmSolver: self = .dpmSolver
        case .euler: self = .euler
        case .heun: self = .heun
        }
    }

    /// nil: none that is known here.
    package var name: Sampler.Name? {
        switch self {
        case .ddpm: .ddpm
        case .ddim: .ddim
        case .dpmSolver: .dpmSolver
        case .euler: .euler
        case .heun: .heun
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

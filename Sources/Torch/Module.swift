/// A part of a network: it holds parameters, and says what they are called.
///
///     struct Block: Module {
///         let norm: GroupNorm
///         let convolution: Conv2d
///
///         func callAsFunction(_ x: Tensor) -> Tensor { convolution(norm(x).silu()) }
///
///         func name(_ parameters: inout ParameterNames) {
///             parameters.add("norm", norm)
///             parameters.add("conv1", convolution)
///         }
///     }
///
/// Layers are plain structs whose parameters are tensors, so a copy of a layer shares its parameters.
package protocol Module {
    /// Names the own parameters and parts, in PyTorch's order, with the keys a checkpoint uses.
    func name(_ parameters: inout ParameterNames)
}

/// Collects the parameters of a network under their keys: `down_blocks.0.resnets.1.conv1.weight`.
package struct ParameterNames {
    package private(set) var all: [(key: String, tensor: Tensor)] = []
    private var prefix = ""

    package init() {}

    /// A parameter; nil is left out.
    package mutating func add(_ name: String, _ parameter: Tensor?) {
        if let parameter { all.append((prefix + name, parameter)) }
    }

    /// A part; nil is left out.
    package mutating func add(_ name: String, _ part: (any Module)?) {
        guard let part else { return }
        let outer = prefix
        prefix += name + "."
        part.name(&self)
        prefix = outer
    }

    /// Parts in a list, numbered from 0.
    package mutating func add(_ name: String, _ parts: [any Module]) {
        for (index, part) in parts.enumerated() { add("\(name).\(index)", part) }
    }
}

extension Module {
    /// Keys and tensors, in PyTorch's order. Built anew on each call: keep it where it is used in a loop.
    package var namedParameters: [(key: String, tensor: Tensor)] {
        var names = ParameterNames()
        name(&names)
        return names.all
    }

    package var parameters: [Tensor] { namedParameters.map(\.tensor) }

    /// Number of trainable values.
    package var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

    /// Converts every parameter where it stands: layers and optimisers that hold it see the change.
    package func convert(to dtype: DType? = nil, device: Device? = nil, format: MemoryFormat? = nil) {
        withoutGradients {
            for parameter in parameters {
                var value = parameter.detached()
                if let dtype { value = value.to(dtype) }
                if let device { value = value.to(device) }
                if let format, value.rank == 4 { value = value.contiguous(format) }
                parameter.replaceElements(by: value)
            }
        }
    }

    /// Turns training of all parameters on or off.
    package func setRequiresGradient(_ on: Bool) {
        for parameter in parameters { parameter.requiresGradient = on }
    }

    /// Copies all elements from a network of the same structure.
    package func copyParameters(from other: some Module) {
        let (mine, theirs) = (namedParameters, other.namedParameters)
        precondition(mine.map(\.key) == theirs.map(\.key), "the networks have different parameters")
        withoutGradients {
            for (target, source) in zip(mine, theirs) { target.tensor.copy(from: source.tensor) }
        }
    }
}

package import Torch

/// A network whose calls are run from recordings where that is quicker: `RecordedCalls` says when.
///
///     let network = RecordedNetwork(unet, on: .cuda(0)) { logger.notice("no graphs: \($0)") }
///
/// The same network where nothing can be recorded, as on the CPU.
package struct RecordedNetwork<Network: DenoisingNetwork>: DenoisingNetwork {
    package let network: Network
    /// nil: every call is made as it is.
    package let calls: RecordedCalls?
    private let device: Device

    package init(_ network: Network, on device: Device, calls: RecordedCalls?) {
        self.network = network
        self.device = device
        self.calls = calls
    }

    package var classEmbeddings: Int? { network.classEmbeddings }
    package var isSelfConditioned: Bool { network.isSelfConditioned }
    package var textWidth: Int? { network.textWidth }
    package func checkChain() throws(DiffusionError) { try network.checkChain() }
    package func name(_ parameters: inout ParameterNames) { network.name(&parameters) }

    package func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?) -> Tensor {
        self(x, timesteps, labels, text: nil)
    }

    package func callAsFunction(_ x: Tensor, _ timesteps: Tensor, _ labels: Tensor?, text: Tensor?) -> Tensor {
        guard let calls else { return network(x, timesteps, labels, text: text) }
        let given = [x, timesteps] + [labels, text].compactMap { $0 }
        let output = calls(given.map { $0.to(device) }) { inputs in
            network(
                inputs[0], inputs[1], labels.map { _ in inputs[2] },
                text: text.map { _ in inputs[inputs.count - 1] })
        }
        return output.to(x.device)
    }
}

extension RecordedNetwork where Network == UNet {
    /// - Parameters:
    ///   - patience: calls of as many rows before a recording of them is tried.
    ///   - hasFailed: told why none is made any more, once.
    package init(_ network: UNet, patience: Int = 8, hasFailed: @escaping (any Error) -> Void) {
        let device = network.device
        self.init(
            network, on: device,
            calls: device == .cpu
                ? nil
                : RecordedCalls(
                    .init(patience: patience, tolerance: Self.tolerance(of: network.dtype)), by: GraphRecorder(device),
                    hasFailed: hasFailed))
    }

    /// What a replay may differ by: of more rows another kernel may be chosen, which adds up in another order. That much, and no more.
    package static func tolerance(of dtype: DType) -> Double { dtype == .float32 ? 1e-4 : 0.03 }
}

import CTorch

/// The exponential moving average of a network's parameters:
///
///     a ← a + (1 − d)·(p − a)
///
/// It lives in a second network of the same structure, which is then sampled from and saved.
package struct MovingAverage<Network: Module> {
    package enum Decay: Hashable, Sendable {
        case constant(Double)
        /// 0 at the first update, which copies; then min(limit, k/(9 + k)): a short memory at first, as diffusers'
        /// `EMAModel`.
        case ramped(limit: Double)

        /// d for update k, counted from 1.
        package func value(at k: Int) -> Double {
            switch self {
            case .constant(let decay): decay
            case .ramped(let limit): k <= 1 ? 0 : min(limit, Double(k) / Double(9 + k))
            }
        }
    }

    /// The averaged network.
    package let network: Network
    package let decay: Decay
    /// Updates made so far.
    package var updates = 0
    private let averages: [Tensor]
    private let sources: [Tensor]

    /// `copy` is of the same structure as `source` and takes over its parameters now.
    package init(of source: Network, in copy: Network, decay: Decay) {
        copy.copyParameters(from: source)
        copy.setRequiresGradient(false)
        network = copy
        self.decay = decay
        averages = copy.parameters
        sources = source.parameters
        precondition(zip(averages, sources).allSatisfy { $0 !== $1 }, "the average needs parameters of its own")
    }

    /// Takes the source's present parameters into the average.
    package mutating func update() {
        updates += 1
        let decay = decay.value(at: updates)
        Tensor.withHandles(averages) { averages, count in
            Tensor.withHandles(sources) { sources, _ in
                Tensor.run("MovingAverage.update") { ct_ema_update(averages, sources, count, decay) }
            }
        }
    }
}

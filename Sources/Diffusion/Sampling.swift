package import Chain
package import Torch

/// What a pass leaves behind, row by row.
package struct PassResult {
    /// x at each pass's `to` [N, C, H, W].
    package let x: Tensor
    /// What the sampler remembers [N, C, H, W], of use for rows that keep something; nil: none does.
    package let memory: Tensor?
    /// x̂_0 [N, C, H, W] as the pass saw it: the preview, and the server's last guess at the cut.
    package let image: Tensor
}

extension Denoiser {
    /// One evaluation of the network moves every row one pass along its own plan: docs/maths.md (5.2)–(5.8).
    ///
    ///     x' = a·x + b·x̂_0 + c·out + d·m + e·z
    ///     m' = f·x + g·x̂_0
    ///
    /// Rows may stand at different timesteps, with different strides, samplers, orders, guidance and thresholds.
    /// x̂_0 is thresholded, x' never.
    ///
    /// - Parameters:
    ///   - x: [N, C, H, W], row i at `passes[i].asked`.
    ///   - memory: what the pass before left [N, C, H, W]; nil where no row remembers anything.
    ///   - estimate: x̂_0 of the pass before [N, C, H, W], for a self-conditioned network; zeros for rows that have none.
    ///   - text: for a network that looks at some.
    ///   - noise: z [N, C, H, W]; nil: drawn for each row from its plan's seed.
    /// - Precondition: call it inside `withoutGradients`.
    package func step(
        _ x: Tensor, memory: Tensor? = nil, estimate: Tensor? = nil, _ passes: [SamplePass], text: TextRows? = nil,
        noise: Tensor? = nil
    ) -> PassResult {
        let (output, image) = opinion(
            x, at: passes.map(\.asked), labels: passes.map(\.plan.label), guidance: passes.map(\.plan.guidance),
            thresholds: passes.map(\.plan.threshold), text: text, estimate: estimate)
        let moves = passes.map { $0.coefficients(on: schedule, predicting: prediction) }
        var next = x * x.perRow(moves.map(\.x)) + image * x.perRow(moves.map(\.image))
        func add(_ part: KeyPath<PassCoefficients, Double>, _ value: () -> Tensor) {
            guard moves.contains(where: { $0[keyPath: part] != 0 }) else { return }
            next = next + value() * x.perRow(moves.map { $0[keyPath: part] })
        }
        add(\.output) { output }
        if let memory { add(\.memory) { memory } }
        add(\.noise) { noise ?? drawn(like: x, passes, moves) }
        var kept: Tensor?
        if moves.contains(where: { $0.keep != nil }) {
            kept = x * x.perRow(moves.map { $0.keep?.x ?? 0 }) + image * x.perRow(moves.map { $0.keep?.image ?? 0 })
        }
        return PassResult(x: next, memory: kept, image: image)
    }

    /// z for each row that wants it; rows that draw none get zeros.
    private func drawn(like x: Tensor, _ passes: [SamplePass], _ moves: [PassCoefficients]) -> Tensor {
        guard x.isDefined else { return x }
        let shape = x.shape, count = shape.dropFirst().reduce(1, *)
        let values = zip(passes, moves).flatMap { pass, move in
            move.noise == 0
                ? [Float](repeating: 0, count: count)
                : CounterRandom(seed: pass.plan.seed).noise(
                    imageShape: Array(shape.dropFirst()), on: schedule, sample: pass.plan.number,
                    timestep: UInt32(pass.to), purpose: .samplerNoise)
        }
        return Tensor(values, shape: shape).to(x.dtype).to(x.device)
    }

    /// One pass for each of these samples, in one evaluation of the network.
    ///
    /// - Parameters:
    ///   - text: a row for each sample, for a network that looks at some.
    ///   - noise: z [N, C, H, W]; nil: drawn for each sample from its plan's seed.
    /// - Returns: x̂_0 [N, C, H, W].
    /// - Precondition: none is finished; all have the same shape; call it inside `withoutGradients`.
    @discardableResult
    package func advance(_ samples: inout [SampleState], text: TextRows? = nil, noise: Tensor? = nil) -> Tensor {
        let passes = samples.map { $0.plan.pass($0.passesDone) }
        func joined(_ part: KeyPath<SampleState, Tensor?>) -> Tensor? {
            guard let any = samples.lazy.compactMap({ $0[keyPath: part] }).first else { return nil }
            let none = any.zerosLike()
            return .concatenated(samples.map { $0[keyPath: part] ?? none }, 0)
        }
        let result = step(
            .concatenated(samples.map(\.x), 0), memory: joined(\.memory), estimate: joined(\.estimate), passes,
            text: text, noise: noise)
        for row in samples.indices {
            samples[row].advance(
                to: result.x[row..<row + 1], memory: passes[row].keeps ? result.memory?[row..<row + 1] : nil,
                estimate: network.isSelfConditioned ? result.image[row..<row + 1] : nil)
        }
        return result.image
    }

    /// Takes samples all the way along their plans, which may differ in length; for the head, tests and benches. A worker, which
    /// admits and retires samples on the way, calls ``advance(_:text:noise:)`` itself.
    ///
    /// - Parameters:
    ///   - start: row i at the first timestep of `plans[i]`.
    ///   - noise: z of every step, [N, C, H, W] each, where plans share their list; nil: drawn.
    ///   - progress: called after each pass with the share of all that is done.
    /// - Returns: the samples at their last timesteps, and the last x̂_0 of each.
    package func sample(
        from start: ChainState, _ plans: [SamplePlan], noise: [Tensor]? = nil, progress: (Double) -> Void = { _ in }
    ) -> (state: ChainState, image: Tensor) {
        guard !plans.isEmpty else { return (start, start.x) }
        return withoutGradients {
            var samples = plans.indices.map { SampleState(plans[$0], from: start, row: $0) }
            var images = samples.map(\.x)
            let longest = plans.map(\.passes).max() ?? 0
            for pass in 0..<longest {
                let active = plans.indices.filter { pass < plans[$0].passes }
                var moving = active.map { samples[$0] }
                let image = advance(&moving, noise: noise?[plans[active[0]].pass(pass).step])
                for (place, row) in active.enumerated() {
                    samples[row] = moving[place]
                    images[row] = image[place..<place + 1]
                }
                progress(Double(pass + 1) / Double(longest))
            }
            return (
                ChainState(x: .concatenated(samples.map(\.x), 0), timesteps: samples.map(\.timestep)),
                .concatenated(images, 0)
            )
        }
    }
}

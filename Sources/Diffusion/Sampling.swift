package import Chain
package import Torch

/// How one sample is to be made. With x at its first timestep, this and the model decide every value of it.
package struct SamplePlan: Hashable, Sendable {
    /// Noise is keyed by (seed, number, target timestep, purpose): a sample does not depend on what it is batched with.
    package var seed: UInt64
    package var number: UInt32
    /// 0…C; C: none.
    package var label: Int
    package var timesteps: TimestepList
    package var sampler: Sampler
    /// w; 0 and 1: none.
    package var guidance: Double
    /// The greatest |x̂_0|; nil: not clipped, which no ε-predictor survives near T, where x̂_0 = (x − √(1−ᾱ)·ε̂)/√ᾱ divides by 10⁻⁵.
    package var clip: Double?

    package init(
        seed: UInt64, number: UInt32, label: Int, timesteps: TimestepList, sampler: Sampler = .ddim(),
        guidance: Double = 1,
        clip: Double? = 1
    ) {
        self.seed = seed
        self.number = number
        self.label = label
        self.timesteps = timesteps
        self.sampler = sampler
        self.guidance = guidance
        self.clip = clip
    }
}

/// One step of one row: from `from` to the earlier `to`.
package struct SampleStep: Hashable, Sendable {
    package let plan: SamplePlan
    package let from: Int
    package let to: Int

    /// - Parameter position: of `from` in the plan's timesteps; the last timestep has no step.
    package init(_ plan: SamplePlan, at position: Int) {
        self.plan = plan
        from = plan.timesteps.timesteps[position]
        to = plan.timesteps.timesteps[position + 1]
    }
}

/// What a step leaves behind.
package struct StepResult {
    package let state: ChainState
    /// x̂_0 [N, C, H, W] as the step saw it: the preview, and the server's last guess at the cut.
    package let image: Tensor
}

extension Denoiser {
    /// One evaluation of the network moves every row one step along its own plan: docs/maths.md (5.2), (5.3).
    ///
    ///     x_s = a·x_t + b·x̂_0 + c·z
    ///
    /// Rows may stand at different timesteps, with different strides, samplers, guidance and clipping.
    /// x̂_0 is clipped, x_s never.
    ///
    /// - Precondition: x [N, C, H, W] with row i at `steps[i].from`; call it inside `withoutGradients`.
    package func step(_ x: Tensor, _ steps: [SampleStep]) -> StepResult {
        let image = image(
            x, at: steps.map(\.from), labels: steps.map(\.plan.label), guidance: steps.map(\.plan.guidance),
            clip: steps.map(\.plan.clip))
        let moves = steps.map { $0.plan.sampler.step(from: $0.from, to: $0.to, on: schedule) }
        var next = x * x.perRow(moves.map(\.x)) + image * x.perRow(moves.map(\.image))
        if moves.contains(where: { $0.noise != 0 }) {
            next = next + noise(like: x, steps, moves) * x.perRow(moves.map(\.noise))
        }
        return StepResult(state: ChainState(x: next, timesteps: steps.map(\.to)), image: image)
    }

    /// z for each row that wants it; rows that draw none get zeros.
    private func noise(like x: Tensor, _ steps: [SampleStep], _ moves: [StepCoefficients]) -> Tensor {
        let shape = x.shape, count = shape.dropFirst().reduce(1, *)
        let values = zip(steps, moves).flatMap { step, move in
            move.noise == 0
                ? [Float](repeating: 0, count: count)
                : CounterRandom(seed: step.plan.seed).normals(
                    count, sample: step.plan.number, timestep: UInt32(step.to), purpose: .samplerNoise)
        }
        return Tensor(values, shape: shape).to(x.dtype).to(x.device)
    }

    /// Takes samples all the way along their plans, which may differ in length; for the head, tests and benches. A worker, which
    /// admits and retires samples on the way, calls ``step(_:_:)`` itself.
    ///
    /// - Parameters:
    ///   - start: row i at the first timestep of `plans[i]`.
    ///   - progress: called after each step with the share of all steps that is done.
    /// - Returns: the samples at their last timesteps, and the last x̂_0 of each.
    package func sample(
        from start: ChainState, _ plans: [SamplePlan], progress: (Double) -> Void = { _ in }
    ) -> StepResult {
        precondition(
            start.timesteps == plans.map(\.timesteps.start), "samples stand elsewhere than their plans begin")
        return withoutGradients {
            var rows = (0..<plans.count).map { start.x[$0..<$0 + 1] }
            var images = rows
            let longest = plans.map(\.timesteps.steps).max() ?? 0
            for position in 0..<longest {
                let active = plans.indices.filter { position < plans[$0].timesteps.steps }
                let result = step(
                    Tensor.concatenated(active.map { rows[$0] }, 0), active.map { SampleStep(plans[$0], at: position) })
                for (place, row) in active.enumerated() {
                    rows[row] = result.state.x[place..<place + 1]
                    images[row] = result.image[place..<place + 1]
                }
                progress(Double(position + 1) / Double(longest))
            }
            let end = plans.map(\.timesteps.end)
            guard !plans.isEmpty else { return StepResult(state: start, image: start.x) }
            return StepResult(
                state: ChainState(x: Tensor.concatenated(rows, 0), timesteps: end),
                image: Tensor.concatenated(images, 0))
        }
    }
}

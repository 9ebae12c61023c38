package import Chain
package import Torch

/// A sample on its way: all that is needed to go on with it, here or elsewhere.
///
/// Two passes that begin at equal states, on equal models in equal batches, end at equal states, bit for bit. What the sampler
/// remembers is one tensor of x's shape: the x̂_0 of the step before (DPM-Solver++), the slope where the step began (Heun, in its middle).
package struct SampleState {
    package let plan: SamplePlan
    /// Version of the model it was begun with, and must be ended with.
    package let model: UInt64
    package private(set) var passesDone: Int
    /// [1, C, H, W]
    package private(set) var x: Tensor
    /// [1, C, H, W]
    package private(set) var memory: Tensor?
    /// x̂_0 of the pass before [1, C, H, W], which a self-conditioned network sees; nil for others, and before the first pass: another
    /// model's is never shown.
    package private(set) var estimate: Tensor?

    /// A sample that stands at its start.
    ///
    /// - Precondition: the row stands at the first timestep of the plan.
    package init(_ plan: SamplePlan, model: UInt64 = 0, from start: ChainState, row: Int = 0) {
        precondition(start.timesteps[row] == plan.timesteps.start, "a sample stands elsewhere than its plan begins")
        self.init(plan, model: model, passesDone: 0, x: start.x[row..<row + 1], memory: nil)
    }

    init(
        _ plan: SamplePlan, model: UInt64, passesDone: Int, x: Tensor, memory: Tensor?, estimate: Tensor? = nil
    ) {
        self.plan = plan
        self.model = model
        self.passesDone = passesDone
        self.x = x
        self.memory = memory
        self.estimate = estimate
    }

    package var isFinished: Bool { passesDone == plan.passes }

    /// Where x stands.
    package var timestep: Int { plan.timestep(afterPasses: passesDone) }

    /// x as what may leave for the other half of the chain.
    package var chainState: ChainState { ChainState(x: x, timesteps: [timestep]) }

    /// The same sample with its tensors on a device: passes go on where its tensors are.
    package func on(_ device: Device) -> SampleState {
        SampleState(
            plan, model: model, passesDone: passesDone, x: x.to(device), memory: memory?.to(device),
            estimate: estimate?.to(device))
    }

    /// What a pass made of it: of a batch that was run as tensors, by ``Denoiser/step(_:memory:estimate:_:text:noise:)``.
    package mutating func advance(to x: Tensor, memory: Tensor?, estimate: Tensor? = nil) {
        passesDone += 1
        self.x = x
        self.memory = memory
        self.estimate = estimate
    }
}

internal import Chain
internal import Wire

/// What the clients of the bench ask for: one sample a request, of mixed samplers, step counts and cuts.
struct Workload: Sendable {
    struct Request: Sendable {
        let sampler: Sampler.Name
        let steps: Int
        let cut: Int
    }

    static let clients = 16
    /// Requests that a client has under way: more than there are places, so that there is always one to take up when another is done.
    static let inFlight = 3
    /// Samples in one forward pass.
    static let batch = 32

    private static let mix = [
        Request(sampler: .ddim, steps: 10, cut: 100), Request(sampler: .dpmSolver, steps: 20, cut: 200),
        Request(sampler: .ddpm, steps: 25, cut: 300), Request(sampler: .euler, steps: 15, cut: 50),
    ]

    /// The request with this number, of a client or of the batch.
    static func request(_ number: Int) -> Request { mix[number % mix.count] }

    static func plan(_ number: Int, on schedule: Schedule) throws -> SamplePlan {
        let request = request(number)
        return SamplePlan(
            seed: 7, number: UInt32(number), label: 0,
            timesteps: try TimestepList(from: schedule.timesteps, to: request.cut, steps: request.steps),
            sampler: Sampler(request.sampler))
    }

    static func message(_ number: Int, on schedule: Schedule) throws -> WireDenoiseRequest {
        let plan = try plan(number, on: schedule)
        var message = WireDenoiseRequest()
        message.seed = plan.seed
        message.firstSample = plan.number
        message.label = [UInt32(plan.label)]
        message.cut = UInt32(plan.timesteps.end)
        message.timestep = plan.timesteps.timesteps.map(UInt32.init)
        message.clip = 1
        message.sampler = WireSamplerKind(plan.sampler.name)
        return message
    }
}

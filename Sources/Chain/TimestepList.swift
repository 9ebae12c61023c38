internal import Foundation

/// How the timesteps of a shortened chain are spread over it (Lin et al. 2023, Table 2; diffusers' `timestep_spacing`).
///
/// diffusers counts from its own T and to its own end; here every list begins exactly where the sample stands (x taken for
/// noisier or cleaner than it is would be denoised wrongly) and ends exactly at the cut, or at 0.
package enum TimestepSpacing: String, Hashable, Sendable, CaseIterable {
    /// Multiples of (start − end) div steps, counted from end + 1; the highest is raised to the start.
    case leading
    /// Equal distances between start and end + 1.
    case linspace
    /// Equal distances between start and end, rounded.
    case trailing
}

/// The timesteps that a sample goes through: strictly falling, each step a call of the network at the higher of its two ends.
///
///     try TimestepList(from: 1000, to: 500, steps: 4)     // 1000, 875, 750, 625, 500
package struct TimestepList: Hashable, Sendable, Codable {
    /// From where the sample stands to where it is wanted: `steps` + 1 numbers.
    package let timesteps: [Int]

    package var start: Int { timesteps[0] }
    package var end: Int { timesteps[timesteps.count - 1] }
    /// How often the network is called.
    package var steps: Int { timesteps.count - 1 }

    /// A list from elsewhere.
    ///
    /// - Throws: `badTimesteps` unless it has two or more timesteps, falls strictly and stays in 0…T.
    package init(_ timesteps: [Int], on schedule: Schedule) throws(ChainError) {
        guard timesteps.count >= 2, timesteps[0] <= schedule.timesteps, timesteps[timesteps.count - 1] >= 0,
            zip(timesteps, timesteps.dropFirst()).allSatisfy({ $0 > $1 })
        else {
            throw ChainError(
                .badTimesteps, "timesteps must fall strictly, be two or more, and lie in 0…\(schedule.timesteps)")
        }
        self.timesteps = timesteps
    }

    /// A list spread as diffusers spreads it over its whole chain.
    ///
    ///     try TimestepList(from: 1000, to: 500, steps: 4, spacing: .leading)     // 1000, 751, 626, 501, 500
    ///
    /// - Parameters:
    ///   - offset: added to every timestep of `leading` that is no end of the list: diffusers' `steps_offset`.
    ///   - sampler: DPM-Solver++'s `leading` and `linspace` are spread over one timestep more, and its last left out.
    ///   - raised: whether the first of `leading`, which lies below the start, is raised to it. diffusers does not, and takes x_T for
    ///     cleaner than it is.
    /// - Throws: `badTimesteps` unless 0 ≤ end < start, 1 ≤ steps ≤ start − end, and the offset fits.
    package init(
        from start: Int, to end: Int, steps: Int, spacing: TimestepSpacing = .trailing, offset: Int = 0,
        for sampler: Sampler.Name = .ddim, raised: Bool = true
    ) throws(ChainError) {
        guard 0 <= end, end < start else {
            throw ChainError(
                .badTimesteps,
                "there are no steps between timestep \(start) and \(end): samples go down to an earlier one, 0 at last")
        }
        guard (1...(start - end)).contains(steps) else {
            let most = start - end
            throw ChainError(
                .badTimesteps,
                "\(steps) steps do not fit between timestep \(start) and \(end): ask for \(most == 1 ? "one" : "1 to \(most)")"
            )
        }
        let length = start - end
        // With a step for every timestep there is none to leave out.
        let left = sampler == .dpmSolver && steps < length ? 1 : 0
        switch spacing {
        case .leading:
            let stride = length / (steps + left)
            let highest = start - (end + 1 + (steps + left - 1) * stride)
            guard (0...max(0, highest)).contains(offset) else {
                throw ChainError(
                    .badTimesteps,
                    "steps_offset is \(highest > 0 ? "one of 0…\(highest)" : "0") with \(steps) steps from \(start) to \(end), not \(offset)"
                )
            }
            var inner = (left..<steps + left).reversed().map { end + 1 + offset + $0 * stride }
            if raised { inner[0] = start }
            timesteps = inner + [end]
        case .linspace:
            let gap = Double(length - 1) / Double(max(1, steps + left - 1))
            let inner = (left..<steps + left).reversed().map {
                end + 1 + Int((Double($0) * gap).rounded(.toNearestOrEven))
            }
            timesteps = [start] + inner.dropFirst() + [end]
        case .trailing:
            // In the order of np.arange, whose second number decides what the others are apart: ties round as diffusers' do.
            let first = Double(start), gap = first + -Double(length) / Double(steps) - first
            timesteps = (0..<steps).map { Int((first + Double($0) * gap).rounded(.toNearestOrEven)) } + [end]
        }
    }
}

/// ζ, the timestep at which the chain is cut: the server denoises T … ζ + 1, the client ζ … 1.
///
/// A `Cut` exists only inside 1…T−1 of the schedule that it was made for: at 0 the images themselves would leave the
/// client, at T there would be nothing to train on.
package struct Cut: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let timestep: Int

    /// - Throws: `cutOutOfRange`
    package init(_ timestep: Int, on schedule: Schedule) throws(ChainError) {
        guard (1..<schedule.timesteps).contains(timestep) else {
            throw ChainError(
                .cutOutOfRange,
                "the cut must lie in 1…\(schedule.timesteps - 1), between image and noise, not at \(timestep)")
        }
        self.timestep = timestep
    }

    package static func < (left: Cut, right: Cut) -> Bool { left.timestep < right.timestep }

    package var description: String { "\(timestep)" }
}

/// When running jobs are written down, so that what a crash costs is bounded, and so is what the bound costs.
package struct CheckpointSettings: Hashable, Sendable {
    /// Passes of a job between two of its checkpoints, at least.
    package var passes: Int
    /// Seconds between two of its checkpoints, at least. So a crash costs a job as many passes or seconds, whichever is more. 0: as often
    /// as the passes say, however long it takes.
    package var seconds: Double
    /// Of all checkpoints of this worker, in the long run.
    package var bytesPerSecond: Double
    /// Of one checkpoint, sealed: a broker takes 32 MiB. What does not fit is left out and done again.
    package var bytes: Int

    package init(
        passes: Int = 16, seconds: Double = 2, bytesPerSecond: Double = 8_388_608, bytes: Int = 32 << 20
    ) {
        self.passes = passes
        self.seconds = seconds
        self.bytesPerSecond = bytesPerSecond
        self.bytes = bytes
    }
}

/// Says of each job of a batch whether it is time to write it down. Pure: moments are passed in, in seconds.
struct CheckpointPace {
    /// Of one job.
    struct Mark {
        fileprivate var passes = 0
        fileprivate var written: Double

        /// A job that begins, or goes on, now.
        init(at now: Double) { written = now }
    }

    let settings: CheckpointSettings
    /// When the bytes that were written, and the time that it took, have been paid for.
    private var paid = -Double.infinity

    init(_ settings: CheckpointSettings) { self.settings = settings }

    /// The job took part in a pass.
    ///
    /// - Returns: whether it is to be written down now.
    func passed(_ mark: inout Mark, at now: Double) -> Bool {
        mark.passes += 1
        return mark.passes >= settings.passes && now - mark.written >= settings.seconds && now >= paid
    }

    /// Of the worker's time, what goes into writing down at most.
    private static let share = 0.02

    /// - Parameters:
    ///   - bytes: 0: it could not be written.
    ///   - took: seconds, before `now`.
    mutating func wrote(_ bytes: Int, _ mark: inout Mark, took: Double = 0, at now: Double) {
        mark = Mark(at: now)
        let time = settings.seconds > 0 ? took / Self.share : 0
        paid = max(paid, now) + max(Double(bytes) / settings.bytesPerSecond, time)
    }
}

internal import Foundation

/// What this process has used so far.
package struct ProcessFigures: Hashable, Sendable {
    /// The most memory that was resident at a time, in bytes.
    package let peakMemory: Int
    /// User and system time of all threads, in seconds.
    package let cpuSeconds: Double

    package static func now() -> ProcessFigures {
        var usage = rusage()
        // It cannot fail for the process itself.
        getrusage(RUSAGE_SELF.rawValue, &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        // Linux counts in kibibytes.
        return ProcessFigures(
            peakMemory: Int(usage.ru_maxrss) * 1024, cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime))
    }
}

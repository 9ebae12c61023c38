package import Foundation

/// What the supervisor saw: `nodes.json`. Seconds count from the begin of the run.
package struct RunRecord: Codable, Sendable {
    package struct Node: Codable, Sendable {
        package var name: String
        package var role: String
        /// User and system time of all its processes.
        package var cpuSeconds = 0.0
        /// The largest resident size that any of them reached, in 10⁶ bytes.
        package var peakMegabytes = 0.0
        package var restarts = 0
    }

    package struct Phase: Codable, Sendable {
        package var node: String
        package var name: String
        package var start: Double
        package var end: Double
    }

    /// Unix time in seconds.
    package var started: Double
    package var seconds = 0.0
    package var nodes: [Node] = []
    package var phases: [Phase] = []

    package func write(to url: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(self).write(to: url, options: .atomic)
    }
}

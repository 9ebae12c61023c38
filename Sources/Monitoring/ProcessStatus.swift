internal import Foundation
internal import Observability

/// What the system knows of this process.
struct ProcessStatus {
    let cpuSeconds: Double
    let residentBytes: Int
    let openFiles: Int
    /// Unix time.
    let started: Double

    static func now() -> ProcessStatus {
        let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?
            .split(separator: " ").dropFirst().first.flatMap { Int($0) }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.count
        return ProcessStatus(
            cpuSeconds: ProcessFigures.now().cpuSeconds, residentBytes: (pages ?? 0) * Int(getpagesize()),
            openFiles: files ?? 0, started: start)
    }

    /// Asked for early enough to be right to a fraction of a second.
    private static let start = Date().timeIntervalSince1970 - ProcessInfo.processInfo.systemUptime + startTicks

    /// When the process began, in seconds since the machine did.
    private static var startTicks: Double {
        guard let stat = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
            // The name may hold blanks and brackets; what follows it does not.
            let rest = stat.range(of: ")", options: .backwards),
            let ticks = stat[rest.upperBound...].split(separator: " ").dropFirst(19).first.flatMap({ Double($0) })
        else { return ProcessInfo.processInfo.systemUptime }
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}

import Foundation
import LoadTest
import Synchronization

/// A load test's line on stderr: in place on a terminal, every few seconds elsewhere.
final class LiveView: Sendable {
    private struct State {
        var nextLine = 0.0
        var hasComplained = false
        var wasConnecting = true
    }

    private let state = Mutex(State())
    private let isTerminal = isatty(2) != 0

    /// Elsewhere than on a terminal: seconds between two lines.
    private static let gap = 5.0

    func show(_ progress: LoadProgress) {
        let line = Self.line(progress)
        if isTerminal { return write("\r\u{1B}[K\(line)") }
        let isDue = state.withLock { state in
            if progress.phase == .connecting { return false }
            guard progress.elapsed >= state.nextLine else { return false }
            state.nextLine += Self.gap
            return true
        }
        if isDue { write(line + "\n") }
    }

    func complain(_ fault: String) {
        let isNews = state.withLock { state in
            defer { state.hasComplained = true }
            return !state.hasComplained
        }
        if isNews { write("\(isTerminal ? "\r\u{1B}[K" : "")\(fault)\n") }
    }

    func end() { if isTerminal { write("\r\u{1B}[K") } }

    private static func line(_ progress: LoadProgress) -> String {
        func whole(_ count: Int) -> String { "\(Int((Double(count) / max(progress.second.length, 1e-9)).rounded()))/s" }
        let second = progress.second, counts = progress.counts
        if progress.phase == .connecting { return "connecting  \(progress.welcomed) of \(progress.clients) clients" }
        var parts = [
            String(format: "%3.0f of %.0f s", min(progress.elapsed, progress.duration), progress.duration),
            "offered \(whole(second.counts.offered))", "done \(whole(second.counts.done))",
            "under way \(progress.underWay)",
        ]
        if let p50 = second.p50, let p99 = second.p99, let max = second.max {
            parts.append(String(format: "p50 %.1f ms  p99 %.1f ms  max %.0f ms", p50, p99, max))
        }
        if let lag = second.lag99 { parts.append(String(format: "lag p99 %.2f ms", lag)) }
        if progress.phase == .draining { parts[0] = "waiting for the last" }
        if second.rejects > 0 { parts.append("rejects \(whole(second.rejects))") }
        if counts.timeouts > 0 { parts.append("timeouts \(counts.timeouts)") }
        if counts.wrong > 0 { parts.append("WRONG \(counts.wrong)") }
        if progress.welcomed < progress.clients { parts.append("sessions \(progress.welcomed) of \(progress.clients)") }
        return parts.joined(separator: "  ")
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

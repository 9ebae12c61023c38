import CollaFuseClient
import Foundation
import Synchronization

/// Progress on standard error: a bar on a terminal, a line for every tenth elsewhere, and for `collafuse up`, which shows all nodes
/// in one line, "@progress SHARE TEXT" for every hundredth.
final class ProgressBar: Sendable {
    private let title: String
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let shown = Mutex(-1)
    private static let width = 40

    init(_ title: String) {
        self.title = title
    }

    @Sendable func show(_ progress: ClientProgress) {
        let share = progress.total == 0 ? 1 : Double(progress.done) / Double(progress.total)
        let step = Int(share * (Supervision.isOn ? 100 : isTerminal ? 1000 : 10))
        let isNew = shown.withLock { shown in
            defer { shown = max(shown, step) }
            return step > shown || progress.done == progress.total
        }
        guard isNew else { return }
        let note = progress.note.isEmpty ? "" : " · \(progress.note)"
        let text = "\(title) \(progress.done)/\(progress.total)\(note)"
        if Supervision.isOn {
            Supervision.progress(share, text)
        } else if isTerminal {
            let filled = Int(share * Double(Self.width))
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.width - filled)
            write("\r\u{1B}[K\(bar) \(text)" + (progress.done == progress.total ? "\n" : ""))
        } else {
            write("\(text)\n")
        }
    }

    private func write(_ text: String) {
        FileHandle.standardError.write(Data(text.utf8))
    }
}

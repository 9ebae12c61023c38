internal import Foundation

/// The terminal: lines with the name of the node they come from, and one line at the bottom that says how far all is.
///
///     north      │ published 569 images
///     trainer    │ version 3 after 15000 images
///      42 s  trainer: trained 15168/40000 · loss above floor 0.031 · train: north 51 %, east 47 %
///
/// The line at the bottom and the colours are for terminals only.
struct Console {
    private let isTerminal: Bool
    private let width: Int
    private let colours: [String: Int]
    private let write: (String) -> Void
    private var status = ""

    /// ANSI colours that are read on dark and on light.
    private static let palette = [36, 32, 33, 35, 34, 96, 92, 93, 95, 94]

    init(names: [String], isTerminal: Bool, write: @escaping (String) -> Void) {
        self.isTerminal = isTerminal
        self.write = write
        width = names.map(\.count).max() ?? 0
        colours = Dictionary(
            uniqueKeysWithValues: names.enumerated().map { ($1, Self.palette[$0 % Self.palette.count]) })
    }

    /// A line that a node said.
    mutating func line(_ text: String, from name: String) {
        let padded = name.padding(toLength: width, withPad: " ", startingAt: 0)
        print(isTerminal ? "\u{1B}[\(colours[name] ?? 0)m\(padded) │\u{1B}[0m \(text)" : "\(padded) | \(text)")
    }

    /// A line that the supervisor says itself, or that stands on its own.
    mutating func line(_ text: String) { print(text) }

    /// Replaces the line at the bottom.
    mutating func show(status text: String) {
        guard isTerminal, text != status else { return }
        status = text
        write("\r\u{1B}[2K" + cut(text))
    }

    /// Takes the line at the bottom away.
    mutating func clear() {
        guard isTerminal, !status.isEmpty else { return }
        status = ""
        write("\r\u{1B}[2K")
    }

    private func print(_ line: String) {
        guard isTerminal, !status.isEmpty else { return write(line + "\n") }
        write("\r\u{1B}[2K" + line + "\n" + cut(status))
    }

    /// A status that wrapped could not be taken back.
    private func cut(_ text: String) -> String {
        let columns = Int(ProcessInfo.processInfo.environment["COLUMNS"] ?? "") ?? Terminal.columns
        return String(text.prefix(max(20, columns - 1)))
    }
}

enum Terminal {
    static var isOutput: Bool { isatty(STDOUT_FILENO) == 1 }

    static var columns: Int {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }
}

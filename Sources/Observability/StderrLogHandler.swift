internal import Foundation
package import Logging

/// Logs to stderr: one line an event, for people or, as JSON, for machines.
///
///     20:15:03.120 warning broker  Broker not reachable; trying again  broker=tcp://127.0.0.1:5555
///
/// A line is one `write`, so that the lines of several processes on one terminal do not mix.
package struct StderrLogHandler: LogHandler {
    package enum Format: Sendable {
        /// With colours when stderr is a terminal.
        case text
        case json
    }

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let format: Format
    private let isColoured: Bool
    private let write: @Sendable (String) -> Void

    /// - Parameter write: takes whole lines; stderr unless a test asks otherwise.
    package init(
        label: String, level: Logger.Level = .info, format: Format = .text, isColoured: Bool = isatty(2) != 0,
        write: @escaping @Sendable (String) -> Void = writeToStderr
    ) {
        self.label = label
        self.logLevel = level
        self.format = format
        self.isColoured = isColoured
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        let fields = all.sorted { $0.key < $1.key }
        let now = Date().timeIntervalSince1970
        switch format {
        case .json:
            var line: [JSONValue.Field] = [
                .init("time", .number((now * 1000).rounded() / 1000)), .init("level", .string(event.level.rawValue)),
                .init("node", .string(label)), .init("message", .string("\(event.message)")),
            ]
            line += fields.map { .init($0.key, .string("\($0.value)")) }
            write(JSONValue.object(line).text + "\n")
        case .text:
            let (colour, plain) = isColoured ? (event.level.colour, "\u{1B}[0m") : ("", "")
            var said = "\(label)  \(event.message)"
            for (index, field) in fields.enumerated() {
                said += "\(index == 0 ? "  " : " ")\(field.key)=\(field.value)"
            }
            // What strangers sent may be in the metadata: it neither breaks the line nor steers the terminal.
            said = said.replacing("\n", with: "␤").replacing("\u{1B}", with: "␛")
            write("\(Self.timeOfDay(now)) \(colour)\(event.level.rawValue)\(plain) \(said)\n")
        }
    }

    private static func timeOfDay(_ time: TimeInterval) -> String {
        var seconds = time_t(time)
        var parts = tm()
        localtime_r(&seconds, &parts)
        func padded(_ value: Int32, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let milliseconds = Int32((time - time.rounded(.down)) * 1000)
        return
            "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2)).\(padded(milliseconds, 3))"
    }
}

/// The whole line in one system call.
package func writeToStderr(_ line: String) {
    var line = line
    line.withUTF8 { bytes in _ = Foundation.write(2, bytes.baseAddress, bytes.count) }
}

extension Logger.Level {
    fileprivate var colour: String {
        switch self {
        case .trace, .debug: "\u{1B}[2m"
        case .info, .notice: "\u{1B}[32m"
        case .warning: "\u{1B}[33m"
        case .error, .critical: "\u{1B}[31m"
        }
    }
}

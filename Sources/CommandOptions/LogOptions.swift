internal import ArgumentParser
package import Logging
internal import Observability

/// What every long-running subcommand takes.
package struct LogOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"),
        transform: { word in
            guard let level = Logger.Level(rawValue: word) else {
                throw ValidationError(
                    "“\(word)” is not a level; take trace, debug, info, notice, warning, error or critical")
            }
            return level
        })
    package var logLevel = Logger.Level.info

    @Flag(help: "Log JSON lines.")
    package var logJson = false

    package init() {}

    package func logger(_ node: String) -> Logger {
        let (level, format): (Logger.Level, StderrLogHandler.Format) = (logLevel, logJson ? .json : .text)
        return Logger(label: node) { StderrLogHandler(label: $0, level: level, format: format) }
    }
}

import Foundation
import Testing

/// One run of a command, from outside.
struct CommandRun {
    let status: Int32
    /// Standard output and errors.
    let output: String

    /// Where the build put the commands: beside the test bundle.
    static var binaries: URL {
        get throws {
            let bundle = try #require(CommandLine.arguments.first { $0.hasSuffix(".xctest") }, "the test bundle's path")
            return URL(filePath: bundle).deletingLastPathComponent()
        }
    }

    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Runs to the end.
    static func of(
        _ binary: URL, _ arguments: [String], in folder: URL? = nil, environment: [String: String] = [:]
    ) throws -> CommandRun {
        let running = try Running(binary, arguments, in: folder, environment: environment)
        return running.finish()
    }

    /// A command that is still going.
    final class Running {
        let process = Process()
        private let log: URL

        init(_ binary: URL, _ arguments: [String], in folder: URL? = nil, environment: [String: String] = [:]) throws {
            log = FileManager.default.temporaryDirectory.appending(path: "command-\(UUID().uuidString).log")
            try Data().write(to: log)
            let output = try FileHandle(forWritingTo: log)
            process.executableURL = binary
            process.arguments = arguments
            process.currentDirectoryURL = folder
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            process.standardOutput = output
            process.standardError = output
            process.standardInput = FileHandle.nullDevice
            try process.run()
        }

        /// What it has said so far.
        var output: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

        func finish() -> CommandRun {
            process.waitUntilExit()
            defer { try? FileManager.default.removeItem(at: log) }
            return CommandRun(status: process.terminationStatus, output: output)
        }
    }
}

/// A folder that is gone after the body.
func inTemporaryFolder<Result>(_ body: (URL) async throws -> Result) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "command-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}

func poll(_ what: String, within seconds: Double = 120, _ condition: () throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(seconds)
    while !(try condition()) {
        guard ContinuousClock.now < end else {
            Issue.record("\(what): not within \(seconds) s")
            return
        }
        try await Task.sleep(for: .milliseconds(50))
    }
}

package import ArgumentParser
internal import Disk
internal import Foundation

extension AsyncParsableCommand {
    /// Reads the command line and does what it asks for. As ArgumentParser's `main`, but leaves errors to the caller: see `fail`.
    package static func runRoot() async throws {
        var command = try parseAsRoot()
        if var asynchronous = command as? any AsyncParsableCommand {
            try await asynchronous.run()
        } else {
            try command.run()
        }
    }
}

extension ParsableCommand {
    /// Ends the process as ArgumentParser does, but says what Foundation's errors mean, of which that prints the fields.
    package static func fail(_ error: any Error) -> Never {
        guard error.isFoundations else { exit(withError: error) }
        FileHandle.standardError.write(Data("Error: \(error.words)\n".utf8))
        exit(withError: ExitCode.failure)
    }
}

package import ArgumentParser
internal import Disk
internal import Foundation

extension ParsableCommand {
    /// Ends the process as ArgumentParser does, but says what Foundation's errors mean, of which that prints the fields.
    package static func fail(_ error: any Error) -> Never {
        guard error.isFoundations else { exit(withError: error) }
        FileHandle.standardError.write(Data("Error: \(error.words)\n".utf8))
        exit(withError: ExitCode.failure)
    }
}

import ArgumentParser
import CollaFuseClient
import CommandOptions
import Foundation

/// The subcommands that compute with tensors. `collafuse worker …`, `collafuse client …` and the like end here.
@main
struct Compute: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collafuse",
        abstract: "The half of collafuse that computes with tensors.",
        subcommands: [
            Work.self, ClientCommand.self, Model.self, LocalSample.self, Report.self, BaselineCommand.self,
            BenchCommand.self,
        ])

    static func main() async {
        do {
            try await runRoot()
        } catch let error as ClientError {
            FileHandle.standardError.write(Data("Error: \(error)\n".utf8))
            Self.exit(withError: error.isHopeless ? ExitCode(EX_DATAERR) : ExitCode.failure)
        } catch {
            Self.fail(error)
        }
    }
}

extension ClientError {
    /// Whether the same command will fail again whatever the others do: `collafuse up` then does not try it again.
    fileprivate var isHopeless: Bool { [.badSettings, .badImages, .badRequest, .limitReached, .noHead].contains(code) }
}

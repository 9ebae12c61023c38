import ArgumentParser
import Evaluation
import Foundation
import Torch

/// `collafuse baseline`
struct BaselineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "baseline",
        abstract: "Train each client alone, to compare a run with.",
        discussion: """
            For each client of a run on this machine: a model of its own for the whole chain, trained on its own images for as many CPU \
            seconds as the client spent in the run. Held-out images judge; they touch no model. Writes baseline.json.
            """)

    @Option(name: .long, help: ArgumentHelp("The run's folder.", valueName: "dir"), completion: .directory)
    var folder: String

    func run() throws {
        Runtime.threads = 1
        Runtime.flushDenormals()
        let trial = try BaselineTrial(folder: URL(filePath: folder))
        print(try trial.run { FileHandle.standardError.write(Data(($0 + "\n").utf8)) }.text)
    }
}

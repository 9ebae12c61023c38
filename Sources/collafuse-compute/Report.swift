import ArgumentParser
import Evaluation
import Foundation
import Torch

/// `collafuse report`
struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Judge a run on one machine: figures, pictures and the page.",
        discussion: """
            Reads what `collafuse up` left in its folder, every client's images included: no party of a real deployment could. Writes \
            summary.json, metrics.jsonl, samples.safetensors, unseen.safetensors, a grid for each client, and report.html.
            """)

    @Option(name: .long, help: ArgumentHelp("The run's folder.", valueName: "dir"), completion: .directory)
    var folder: String

    func run() throws {
        // The networks are tiny: a second thread costs more than it brings, ten times as much on a busy machine.
        Runtime.threads = 1
        Runtime.flushDenormals()
        let report = try RunReport(folder: URL(filePath: folder))
        print(SummaryPanel(try report.write(), folder: shortened(folder)).text)
    }

    /// As the person who called would name it.
    private func shortened(_ path: String) -> String {
        let here = FileManager.default.currentDirectoryPath + "/"
        return path.hasPrefix(here) ? String(path.dropFirst(here.count)) : path
    }
}

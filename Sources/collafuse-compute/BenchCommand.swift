import ArgumentParser
import Bench
import CommandOptions
import Foundation

/// `collafuse bench`
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure this project against others.",
        subcommands: [Denoise.self, DeviceCommand.self])

    /// `collafuse bench denoise`
    struct Denoise: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Measure denoising and training against PyTorch and diffusers on this machine.",
            discussion: """
                Both sides take turns in one run, on the same weights and threads; what counts is the ratio. Ours goes through a real \
                broker, real workers and sixteen clients. The other side is ops/bench/denoise.py, run by a Python that has torch \
                and diffusers. Leave the machine alone meanwhile.

                  collafuse bench denoise --python ~/torch/bin/python --json bench.json
                  collafuse bench denoise --only "small vs compile" --seconds 3
                """)

        @Option(
            name: .long, help: ArgumentHelp("Write the figures to this file.", valueName: "file"),
            completion: .file(extensions: ["json"]))
        var json: String?

        @Option(name: .long, help: ArgumentHelp("A Python with torch and diffusers.", valueName: "command"))
        var python = "python3"

        @Option(name: .long, help: ArgumentHelp("The other side.", valueName: "file"))
        var script = "ops/bench/denoise.py"

        @Option(name: .long, help: "`small`, `cifar` or `tiny`. Repeat it for several; small and cifar when left out.")
        var model: [BenchModel] = []

        @Option(
            name: .long, help: ArgumentHelp("Only figures with this in their name. Repeat it.", valueName: "text"))
        var only: [String] = []

        @Option(name: .long, help: ArgumentHelp("Length of each measurement.", valueName: "s"))
        var seconds = 5.0

        @Option(name: .long, help: ArgumentHelp("Turns; a figure's ratio is their median.", valueName: "n"))
        var rounds = 3

        @Option(name: .long, help: ArgumentHelp("Threads that either side may use.", valueName: "n"))
        var threads = 2

        @Option(
            name: .long,
            help: ArgumentHelp("Denoising workers of the pool, which share the threads.", valueName: "n"))
        var workers = 1

        func validate() throws {
            guard seconds > 0, rounds > 0, (1...256).contains(threads), (1...threads).contains(workers) else {
                throw ValidationError(
                    "--seconds, --rounds and --threads must be above 0, and --workers at most as many as --threads")
            }
        }

        func run() async throws {
            let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
            var settings = DenoiseBench.Settings(binaries: own.deletingLastPathComponent())
            if !model.isEmpty { settings.models = model }
            settings.only = only
            settings.seconds = seconds
            settings.rounds = rounds
            settings.threads = threads
            settings.workers = workers
            settings.python = python
            settings.script = URL(filePath: script)
            let bench = DenoiseBench(settings)
            guard !bench.figures.isEmpty else {
                settings.only = []
                let names = DenoiseBench(settings).figures.joined(separator: ", ")
                throw ValidationError("No figure has any of that in its name. They are: \(names)")
            }
            let file = try json.map { try ReportFile($0) }
            let report = try await bench.run {
                print($0)
                fflush(nil)
            }
            print(report.text)
            try file?.write(report.json)
        }
    }
}

extension BenchModel: ExpressibleByArgument {}

import ArgumentParser
import Bench
import CommandOptions
import Foundation
import Torch

/// `collafuse bench device`
struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "Check that a device computes what the CPU computes, and measure it.",
        discussion: """
            The same networks with random weights run on both: a pass in each type, a pass from a recorded graph, whole samples. Then \
            passes of several widths are timed, called and from graphs. It ends with 1 where anything differs by more than it may, \
            and with 64 where there is no such device. docs/gpu.md says what to make of it.

              collafuse bench device --device cuda --json device.json
            """)

    @Option(name: .long, help: ArgumentHelp("`cuda`, `cuda:1` or `cpu`.", valueName: "device"))
    var device: DeviceName

    @Option(name: .long, help: "`small`, `cifar` or `tiny`. Repeat it for several; small and cifar when left out.")
    var model: [BenchModel] = []

    @Option(name: .long, help: ArgumentHelp("Length of each measurement.", valueName: "s"))
    var seconds = 3.0

    @Option(
        name: .long, help: ArgumentHelp("Write what was found to this file.", valueName: "file"),
        completion: .file(extensions: ["json"]))
    var json: String?

    func validate() throws {
        guard seconds > 0, seconds.isFinite else { throw ValidationError("--seconds must be above 0") }
        try device.check()
    }

    func run() throws {
        var settings = DeviceCheck.Settings(device: device.device)
        if !model.isEmpty { settings.models = model }
        settings.seconds = seconds
        let file = try json.map { try ReportFile($0) }
        let report = try DeviceCheck(settings).run { print($0) }
        try file?.write(report.json)
        guard report.failures == 0 else {
            print("\(report.failures) of \(report.checks.count) checks failed")
            throw ExitCode.failure
        }
        print("all \(report.checks.count) checks passed")
    }
}

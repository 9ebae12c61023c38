import ArgumentParser
import Chain
import Foundation
import Launch
import Topology
import Trust
import Wire

/// `collafuse keys run`
struct KeysRun: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Sign the run that a topology describes: schedule, image shape, labels, backbone, cuts.",
        discussion: "The run's id is a hash of what is signed; signing the same topology again makes another run.")

    @Argument(help: ArgumentHelp("The topology.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
    var topology: String

    @OptionGroup var folder: OperatorOptions

    func run() throws {
        let now = Keys.now
        var random = SystemRandomNumberGenerator()
        let nonce = (0..<RunDescriptor.nonceLength).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let descriptor = try RunDescriptor(
            Topology(contentsOf: URL(filePath: topology), overrides: []), nonce: nonce, created: now)
        let run = try Operator(opening: folder.url, now: now).certify(run: RunDocument(descriptor), now: now)
        print("run \(run.id.short)  \(descriptor.name)  \(descriptor.image)  \(run.id)")
    }
}

import ArgumentParser
import CommandOptions

/// The command. What computes with tensors lives in a second binary, `collafuse-compute`, so that this one links no libtorch.
@main
struct CollaFuse: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collafuse",
        abstract: "Collaborative diffusion: one shared model from images that nobody shows.",
        discussion: """
            Several parties hold images they may not share. Workers denoise from noise down to a timestep, the cut, with a shared \
            backbone; each party denoises from there with a head of its own. Only images noised to the cut leave a party.

            To see all of it on this machine:  collafuse up topology/quickstart.yaml
            """,
        subcommands: [
            Up.self, Keys.self, BrokerCommand.self, Jobs.self, LoadTestCommand.self, Top.self, WorkerForward.self,
            ClientForward.self,
            ModelForward.self,
            SampleForward.self, ReportForward.self, BaselineForward.self, Bench.self, Simulate.self,
        ])

    static func main() async {
        do {
            try await runRoot()
        } catch {
            Self.fail(error)
        }
    }
}

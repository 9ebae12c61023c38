import Foundation
import Testing

/// `collafuse broker drain`, from outside.
@Suite struct DrainTests {
    @Test func aDrainEndsTheBrokerAndSaysSo() async throws {
        let scene = try DeploymentScene()
        let broker = try scene.broker()
        _ = try await scene.endpoints()
        // Whoever can make it run code finds no engine in it.
        let loaded = try String(contentsOfFile: "/proc/\(broker.process.processIdentifier)/maps", encoding: .utf8)
        #expect(loaded.contains("libzmq") && !loaded.contains("torch"))
        let collafuse = try CommandRun.binaries.appending(path: "collafuse")
        let run = try CommandRun.of(collafuse, ["broker", "drain", "--kit", scene.kit("broker")])
        #expect(run.status == 0 && run.output.contains("drained: process \(broker.process.processIdentifier)"))
        let ended = broker.finish()
        #expect(
            ended.status == 0 && ended.output.contains("Draining") && ended.output.contains("Drained"),
            "\(ended.output)")
        let again = try CommandRun.of(collafuse, ["broker", "drain", "--kit", scene.kit("broker")])
        #expect(again.status != 0 && again.output.contains("no broker runs"), "\(again.output)")
    }
}

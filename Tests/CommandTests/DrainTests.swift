import Foundation
import Journal
import Testing

/// `collafuse broker drain`, from outside.
@Suite struct DrainTests {
    @Test func aDrainEndsTheBrokerAndSaysSo() async throws {
        let scene = try DeploymentScene()
        let broker = try scene.broker()
        _ = try await scene.endpoints()
        // Whoever can make it run code finds no engine in it.
        let loaded = try Self.mappedFiles(of: broker.process.processIdentifier)
        #expect(loaded.contains("libzmq") && !loaded.contains("torch"), "\(loaded.count) bytes")
        let collafuse = try CommandRun.binaries.appending(path: "collafuse")
        let run = try CommandRun.of(collafuse, ["broker", "drain", "--kit", scene.kit("broker")])
        #expect(run.status == 0 && run.output.contains("drained: process \(broker.process.processIdentifier)"))
        let ended = broker.finish()
        #expect(
            ended.status == 0 && ended.output.contains("Draining") && ended.output.contains("Drained"),
            "\(ended.output)")
        let again = try CommandRun.of(collafuse, ["broker", "drain", "--kit", scene.kit("broker")])
        #expect(again.status == 1 && again.output.hasPrefix("Error: no broker runs"), "\(again.output)")
        #expect(!again.output.contains("Usage"), "\(again.output)")
    }

    /// The signal would end it.
    @Test func aProcessThatIsNoBrokerIsLeftAlone() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "drain-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "journal.sqlite")
        // As `jobs retry` has it: this process, which would not outlive the signal.
        let store = try SQLiteStore(file)
        let run = try CommandRun.of(
            CommandRun.binaries.appending(path: "collafuse"), ["broker", "drain", "--journal", "sqlite:\(file.path)"])
        #expect(run.status == 1 && run.output.contains("in use by process \(getpid()), which is none"), "\(run.output)")
        withExtendedLifetime(store) {}
    }

    /// A file of `/proc` has no length, and is read piece by piece.
    private static func mappedFiles(of process: Int32) throws -> String {
        let maps = try FileHandle(forReadingFrom: URL(filePath: "/proc/\(process)/maps"))
        var all = Data()
        while let more = try maps.read(upToCount: 4096), !more.isEmpty { all += more }
        return String(decoding: all, as: UTF8.self)
    }
}

import Foundation
import Testing

/// A broker's process whose disk is full: a small tmpfs, which only root may mount.
@Suite struct FullDiskTests {
    @Test(
        .timeLimit(.minutes(2)),
        .enabled(if: geteuid() == 0, "needs root, to mount a small tmpfs"))
    func newJobsWaitAndNothingIsLost() async throws {
        let scene = try FleetScene(clients: 4, workers: 1)
        let disk = scene.folder.appending(path: "disk")
        try FileManager.default.createDirectory(at: disk, withIntermediateDirectories: true)
        let mount = try CommandRun.of(
            URL(filePath: "/bin/mount"), ["-t", "tmpfs", "-o", "size=48m", "tmpfs", disk.path])
        guard mount.status == 0 else {
            // A container's root may not.
            try Test.cancel("no tmpfs can be mounted here: \(mount.output)")
        }
        defer { _ = try? CommandRun.of(URL(filePath: "/bin/umount"), ["-l", disk.path]) }
        let (broker, first) = try await scene.broker(
            more: ["--journal", "sqlite:\(disk.path)/journal.sqlite", "--metrics-listen", "0"])
        let address = try await FleetScene.figures(of: broker)
        let endpoints = [first]
        _ = try scene.worker("worker-1", at: endpoints)
        let report = scene.folder.appending(path: "report.json")
        let load = try scene.load(
            at: endpoints,
            [
                "--clients", "4", "--stage", "300s@40", "--timeout", "60s", "--drain", "60s", "--json", report.path,
                "--exit-on-slo", "lost=0,wrong=0,refused=0,ended=0,unanswered=0,duplicates=0,achieved>=100%",
            ])
        _ = try await FleetScene.ask("/metrics", from: address) { _, body in
            !body.contains("\ncollafuse_broker_jobs_finished_total 0\n")
        }
        // Full to the last byte.
        let filler = disk.appending(path: "filler")
        try Data().write(to: filler)
        let file = try FileHandle(forWritingTo: filler)
        while (try? file.write(contentsOf: Data(count: 1 << 16))) != nil {}
        try? file.close()
        let full = try await FleetScene.ask("/readyz", from: address) { status, _ in status == 503 }
        #expect(full.status == 503, "\(full.body)")
        try await poll("it says so", within: 30) { broker.output.contains("New jobs are refused for now") }
        #expect(broker.process.isRunning)
        try FileManager.default.removeItem(at: filler)
        try await poll("it goes on", within: 30) { broker.output.contains("The journal can store again") }
        load.process.interrupt()
        let run = try await load.end(within: 90)
        #expect(run.status == 0, "\(run.output)")
        let text = try String(contentsOf: report, encoding: .utf8)
        #expect(text.contains("\"storage\""), "clients were told: \(text)")
        broker.process.terminate()
        let ended = try await broker.end(within: 30)
        #expect(ended.status == 0, "\(ended.output)")
    }
}

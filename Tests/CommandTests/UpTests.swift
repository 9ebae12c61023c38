import Foundation
import Testing

/// `collafuse up` with the real broker; what computes is a script that does nothing but take its time.
@Suite struct UpTests {
    private static let topology = Shapes.topology(
        clients: "name: a, images: pictures, labels: [disc]", "name: b, images: pictures, labels: [square]")

    /// A folder with `collafuse`, the script in `collafuse-compute`'s place, and the topology.
    private func prepare(_ folder: URL, compute: String) throws -> URL {
        let collafuse = folder.appending(path: "collafuse")
        try FileManager.default.copyItem(at: CommandRun.binaries.appending(path: "collafuse"), to: collafuse)
        let script = folder.appending(path: "collafuse-compute")
        try Data("#!/bin/bash\necho $$ >> \(folder.path)/pids\n\(compute)\n".utf8).write(to: script)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script.path)
        try Data(Self.topology.utf8).write(to: folder.appending(path: "t.yaml"))
        return collafuse
    }

    /// Another script in the same folder.
    private func prepareAgain(_ folder: URL, compute: String) throws -> URL {
        try FileManager.default.removeItem(at: folder.appending(path: "collafuse"))
        return try prepare(folder, compute: compute)
    }

    private func pids(_ folder: URL) -> [Int32] {
        let text = (try? String(contentsOf: folder.appending(path: "pids"), encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { Int32($0) }
    }

    private static let works = """
        case "$1 $2" in
        "worker --role") trap 'exit 0' TERM; while :; do sleep .05; done ;;
        "client "*) echo "$2 at ${@: 1}" | grep -o '.*tcp://127.0.0.1:[0-9]*' ;;
        "report --folder") echo "the panel of $3" ;;
        esac
        """
    private static let hangs = "trap '' TERM INT; while :; do sleep .05; done"

    @Test func aWholeRun() async throws {
        try await inTemporaryFolder { folder in
            let collafuse = try prepare(folder, compute: Self.works)
            for _ in 0..<2 {  // the second run empties what the first made
                let run = try CommandRun.of(collafuse, ["up", "t.yaml"], in: folder)
                #expect(run.status == 0, "\(run.output)")
                for words in ["a        | publish at", "b        | train at", "a        | sample at", "the panel of"] {
                    #expect(run.output.contains(words), "\(words) in \(run.output)")
                }
            }
            let made = folder.appending(path: "made")
            for path in ["nodes.json", "plan.json", "logs/broker.log", "keys/public/roster.signed"] {
                #expect(FileManager.default.fileExists(atPath: made.appending(path: path).path), "\(path)")
            }
            // The broker is the real one: its memory is what the demo will report.
            let nodes = try String(contentsOf: made.appending(path: "nodes.json"), encoding: .utf8)
            #expect(nodes.contains(#""name" : "broker""#))
        }
    }

    /// In every phase it leaves no process, says what is kept, and another run can follow at once.
    @Test(arguments: ["client publish", "client train", "client sample", "report --folder"])
    func ctrlCStopsAllOfIt(in phase: String) async throws {
        try await inTemporaryFolder { folder in
            let waits = "trap 'exit 0' TERM; while :; do sleep .05; done"
            let collafuse = try prepare(
                folder,
                compute: """
                    if [ "$1 $2" = "\(phase)" ]; then touch \(folder.path)/there; \(waits); fi
                    if [ "$1" = worker ]; then \(waits); fi
                    """)
            let running = try CommandRun.Running(collafuse, ["up", "t.yaml"], in: folder)
            try await poll(phase) { FileManager.default.fileExists(atPath: folder.appending(path: "there").path) }
            kill(running.process.processIdentifier, SIGINT)
            let run = running.finish()
            #expect(run.status == 130, "\(run.output)")
            #expect(run.output.contains("stopped. What was made so far is in \(folder.path)/made"), "\(run.output)")
            #expect(pids(folder).allSatisfy { kill($0, 0) != 0 })
            let again = try CommandRun.of(prepareAgain(folder, compute: Self.works), ["up", "t.yaml"], in: folder)
            #expect(again.status == 0, "\(again.output)")
        }
    }

    /// A port that is taken: said at once, with what to do.
    @Test func aTakenPortIsSaid() async throws {
        try await inTemporaryFolder { folder in
            let collafuse = try prepare(folder, compute: "trap 'exit 0' TERM; while :; do sleep .05; done")
            let first = try CommandRun.Running(collafuse, ["up", "t.yaml"], in: folder)
            let endpoints = folder.appending(path: "made/endpoints.json")
            try await poll("the broker listens") { FileManager.default.fileExists(atPath: endpoints.path) }
            let taken = try #require(
                try JSONDecoder().decode([String: String].self, from: Data(contentsOf: endpoints))["clients"])
            let second = try CommandRun.of(
                collafuse, ["up", "t.yaml", "--out", "other", "--set", "broker.clients=\(taken)"], in: folder)
            first.process.interrupt()
            _ = first.finish()
            #expect(second.status == 1 && second.output.contains("\(taken): the address is in use"), "\(second.output)")
            #expect(second.output.contains("broker.clients"), "\(second.output)")
            #expect(!second.output.contains("starting it again"), "\(second.output)")
        }
    }

    @Test func killedOutrightItLeavesNoOrphan() async throws {
        try await inTemporaryFolder { folder in
            let collafuse = try prepare(folder, compute: Self.hangs)
            let running = try CommandRun.Running(collafuse, ["up", "t.yaml"], in: folder)
            try await poll("all four compute") { pids(folder).count == 4 }
            kill(running.process.processIdentifier, SIGKILL)
            _ = running.finish()
            try await poll("all are gone") { pids(folder).allSatisfy { kill($0, 0) != 0 } }
        }
    }

    @Test func aFailedClientFailsTheRun() async throws {
        try await inTemporaryFolder { folder in
            let collafuse = try prepare(
                folder,
                compute:
                    "[ \"$1\" = worker ] || { echo 'no such image'; exit 64; }\ntrap 'exit 0' TERM; while :; do sleep .05; done"
            )
            let run = try CommandRun.of(collafuse, ["up", "t.yaml"], in: folder)
            #expect(run.status == 1)
            #expect(run.output.contains("no such image") && run.output.contains("(publish) ended with code 64"))
            #expect(run.output.contains("/logs"))
        }
    }

    @Test func aTypoNamesItsLineAndTheRightWord() async throws {
        try await inTemporaryFolder { folder in
            let file = folder.appending(path: "typo.yaml")
            try Data(Self.topology.replacing("workers:", with: "wrokers:").utf8).write(to: file)
            let run = try CommandRun.of(
                CommandRun.binaries.appending(path: "collafuse"), ["up", "typo.yaml"], in: folder)
            #expect(run.status != 0)
            #expect(
                run.output.contains("typo.yaml:3: unknown key 'wrokers' in 'the topology': did you mean 'workers'?"))
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "made").path))
        }
    }

    @Test func aDryRunStartsNothing() async throws {
        try await inTemporaryFolder { folder in
            let collafuse = try prepare(folder, compute: "exit 1")
            let run = try CommandRun.of(collafuse, ["up", "t.yaml", "--dry-run", "--set", "run.cut=43"], in: folder)
            #expect(run.status == 0)
            #expect(run.output.contains("--cut 43"))
            #expect(
                pids(folder).isEmpty && !FileManager.default.fileExists(atPath: folder.appending(path: "made").path))
        }
    }

    @Test func computingSubcommandsGoToTheOtherBinary() async throws {
        try await inTemporaryFolder { folder in
            let collafuse = try prepare(folder, compute: "printf '[%s]' \"$@\"; exit 7")
            let run = try CommandRun.of(collafuse, ["client", "publish", "--help", "a b"], in: folder)
            #expect(run.status == 7 && run.output == "[client][publish][--help][a b]")
            try FileManager.default.removeItem(at: folder.appending(path: "collafuse-compute"))
            let alone = try CommandRun.of(collafuse, ["worker"], in: folder)
            #expect(alone.status != 0 && alone.output.contains("collafuse-compute is missing"))
        }
    }
}

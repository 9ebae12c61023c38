import Foundation
import Synchronization
import Testing

@testable import Launch

/// Runs a plan in a folder of its own on a thread of its own, as `collafuse up` does on its main thread.
private struct Run: Sendable {
    let outcome: LaunchMachine.Outcome
    let output: String
    let record: RunRecord
    let folder: URL

    /// `make` gets the folder; `meanwhile` runs beside the supervisor and may ask it to stop.
    static func of(
        limits: LaunchMachine.Limits = quick, isTerminal: Bool = false, _ make: (URL) -> LaunchPlan,
        meanwhile: @escaping @Sendable (URL, StopRequests) async throws -> Void = { _, _ in }
    ) async throws -> Run {
        let folder = FileManager.default.temporaryDirectory.appending(path: "launch-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let plan = make(folder)
        let requests = try StopRequests()
        var settings = Supervisor.Settings(
            logs: folder.appending(path: "logs"), record: folder.appending(path: "nodes.json"), isTerminal: isTerminal)
        settings.limits = limits
        let output = Mutex("")
        let beside = Task { try await meanwhile(folder, requests) }
        let outcome = try await onThread { [settings] in
            let said = Mutex("")
            var supervisor = try Supervisor(plan, settings: settings, stopRequests: requests) { text in
                said.withLock { $0 += text }
            }
            let outcome = try supervisor.run()
            return (outcome, said.withLock { $0 })
        }
        try await beside.value
        output.withLock { $0 = outcome.1 }
        let record = try JSONDecoder().decode(RunRecord.self, from: Data(contentsOf: settings.record))
        return Run(outcome: outcome.0, output: output.withLock { $0 }, record: record, folder: folder)
    }

    static var quick: LaunchMachine.Limits {
        var limits = LaunchMachine.Limits()
        limits.restarts = 2
        limits.pause = 0.05
        limits.grace = 5
        return limits
    }

    func text(_ path: String) throws -> String { try String(contentsOf: folder.appending(path: path), encoding: .utf8) }
}

private func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Result { try body() }) }.start()
    }
}

private func shell(
    _ name: String, _ script: String, _ arguments: [LaunchPlan.Argument] = [], needs: [LaunchPlan.Need] = []
)
    -> LaunchPlan.Stage
{
    LaunchPlan.Stage(
        name: name, executable: "/bin/bash", arguments: ["-c", .text(script), "sh"] + arguments, needs: needs)
}

private func job(_ name: String, _ stages: LaunchPlan.Stage...) -> LaunchPlan.Node {
    .init(name: name, role: "client", life: .job, stages: stages)
}

private func isAlive(_ pid: Int32) -> Bool {
    // A zombie that nobody waits for counts as gone.
    guard kill(pid, 0) == 0, let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else {
        return false
    }
    return !stat.contains(") Z ")
}

/// Ended children of this process that nobody has waited for and that still have one of its own threads' names: they
/// never became another program.
private func zombies(named name: String) -> [String] {
    let own = ProcessInfo.processInfo.processIdentifier
    let pids = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return pids.filter { pid in
        guard Int32(pid) != nil, let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else {
            return false
        }
        return stat.contains("(\(name)) Z \(own) ")
    }
}

private func poll(_ what: String, within seconds: Double = 120, _ condition: () throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(seconds)
    while !(try condition()) {
        guard ContinuousClock.now < end else {
            Issue.record("\(what): not within \(seconds) s")
            return
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

@Suite struct SupervisorTests {
    @Test func aRunFromBeginToEnd() async throws {
        let run = try await Run.of { folder in
            let path = folder.path
            return LaunchPlan(
                nodes: [
                    .init(
                        name: "broker", role: "broker", life: .service(mayEnd: false),
                        stages: [
                            shell(
                                "broker",
                                "trap 'echo broker bids farewell; exit 0' TERM; echo '{\"clients\": \"tcp://127.0.0.1:7\"}' > \(path)/endpoints; while :; do sleep .05; done"
                            )
                        ], readyFile: "\(path)/endpoints"),
                    job(
                        "north",
                        shell(
                            "publish",
                            "echo publishing to $1; for ((i = 0; i < 100000; i++)); do :; done; printf 'no line end'",
                            [.value(node: "broker", key: "clients", before: "")], needs: [.ready("broker")]),
                        shell("sample", "echo 'to the error stream' >&2; echo $COLOUR $(cat) > \(path)/sampled")),
                ],
                closing: [shell("report", "test -s \(path)/nodes.json && echo the panel")])
        }
        #expect(run.outcome == .success)
        #expect(try run.text("logs/north.log") == "publishing to tcp://127.0.0.1:7\nno line end\nto the error stream\n")
        #expect(try run.text("logs/broker.log") == "broker bids farewell\n")
        #expect(try run.text("sampled") == "\n")  // nothing to read: a child never waits for the terminal
        #expect(run.output.contains("north  | publishing to tcp://127.0.0.1:7\n"))
        #expect(run.output.hasSuffix("the panel\n"))
        #expect(run.record.phases.map(\.name) == ["publish", "sample", "broker", "report"])
        #expect(run.record.phases.allSatisfy { $0.start <= $0.end && $0.end <= run.record.seconds + 1 })
        let north = try #require(run.record.nodes.first { $0.name == "north" })
        #expect(north.cpuSeconds > 0.02 && north.cpuSeconds < 20)
        #expect(north.peakMegabytes > 1 && north.peakMegabytes < 100)
        #expect(north.restarts == 0)
    }

    @Test func aKilledServiceComesBack() async throws {
        let run = try await Run.of { folder in
            LaunchPlan(nodes: [
                .init(
                    name: "worker", role: "denoise", life: .service(mayEnd: false),
                    stages: [shell("denoise", "echo $$ >> \(folder.path)/pids; while :; do sleep .05; done")]),
                job("client", shell("sample", "until [ $(wc -l < \(folder.path)/pids) = 2 ]; do sleep .05; done")),
            ])
        } meanwhile: { folder, _ in
            let pids = folder.appending(path: "pids").path
            try await poll("the worker is there") { FileManager.default.fileExists(atPath: pids) }
            try await poll("the worker is killed") {
                let text = try String(contentsOfFile: pids, encoding: .utf8)
                return text.split(separator: "\n").first.flatMap { Int32($0) }.map { kill($0, SIGKILL) == 0 } ?? false
            }
        }
        #expect(run.outcome == .success)
        #expect(run.record.nodes.first?.restarts == 1)
        #expect(run.output.contains("worker (denoise) was ended by signal 9: starting it again"))
    }

    @Test func whatKeepsFailingEndsTheRun() async throws {
        let run = try await Run.of { folder in
            LaunchPlan(nodes: [
                .init(
                    name: "other", role: "denoise", life: .service(mayEnd: false),
                    stages: [shell("denoise", "exec sleep 100")]),
                job("client", shell("publish", "echo again >> \(folder.path)/tries; exit 3")),
            ])
        }
        #expect(run.outcome == .failure("client (publish) ended with code 3, and failed 3 times"))
        #expect(try run.text("tries") == "again\nagain\nagain\n")
    }

    @Test func whatCannotBeStartedIsSaid() async throws {
        let run = try await Run.of { _ in
            LaunchPlan(nodes: [job("client", .init(name: "publish", executable: "/no/such/binary", arguments: []))])
        }
        guard case .failure(let reason) = run.outcome else {
            Issue.record("it must fail: \(run.outcome)")
            return
        }
        #expect(reason.contains("/no/such/binary: No such file or directory"))
    }

    /// An ended child that nobody waits for would stay for as long as this process lives.
    @Test func aChildThatCouldNotBecomeTheBinaryIsTakenIn() async throws {
        let name = try await onThread {
            #expect(throws: ChildProcess.StartError.self) {
                try ChildProcess(executable: "/no/such/binary", arguments: [], environment: [:], now: 0)
            }
            return try String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
        }
        try await poll("it is taken in", within: 20) { zombies(named: name.trimmingCharacters(in: .newlines)).isEmpty }
    }

    @Test func aStopLeavesNothingBehind() async throws {
        let run = try await Run.of { folder in
            LaunchPlan(nodes: [
                job(
                    "client",
                    shell("train", "echo $$ >> \(folder.path)/pids; sleep 1000 & echo $! >> \(folder.path)/pids; wait")),
                job("other", shell("train", "echo $$ >> \(folder.path)/pids; exec sleep 1000")),
            ])
        } meanwhile: { folder, requests in
            try await poll("three processes") {
                let text = (try? String(contentsOf: folder.appending(path: "pids"), encoding: .utf8)) ?? ""
                return text.split(separator: "\n").count == 3
            }
            requests.stop()
        }
        #expect(run.outcome == .stopped)
        let pids = try run.text("pids").split(separator: "\n").compactMap { Int32($0) }
        #expect(pids.count == 3)
        try await poll("all are gone") { pids.allSatisfy { !isAlive($0) } }
    }

    @Test func whatIgnoresTheRequestIsKilled() async throws {
        var limits = Run.quick
        limits.grace = 0.3
        let run = try await Run.of(limits: limits) { folder in
            LaunchPlan(nodes: [
                .init(
                    name: "stubborn", role: "denoise", life: .service(mayEnd: false),
                    stages: [
                        shell("denoise", "trap '' TERM; echo $$ > \(folder.path)/pid; while :; do sleep .05; done")
                    ]),
                job("client", shell("sample", "until [ -s \(folder.path)/pid ]; do sleep .05; done")),
            ])
        }
        #expect(run.outcome == .success)
        #expect(run.output.contains("stubborn did not stop"))
        let pid = try #require(Int32(try run.text("pid").trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(!isAlive(pid))
    }

    /// The system kills children with the thread that started them, so a supervisor killed outright leaves none.
    @Test func childrenDieWithTheSupervisor() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "launch-\(UUID().uuidString)")
        let pidFile = folder.appending(path: "pid")
        let pid = try await onThread {
            // The record cannot be written, so the supervisor's run throws in the middle and its thread ends.
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let plan = LaunchPlan(
                nodes: [
                    .init(
                        name: "orphan", role: "denoise", life: .service(mayEnd: false),
                        stages: [
                            shell(
                                "denoise",
                                "trap '' TERM; echo $$ > \(pidFile.path).part; mv \(pidFile.path).part \(pidFile.path); while :; do sleep .05; done"
                            )
                        ]),
                    job("client", shell("sample", "until [ -s \(pidFile.path) ]; do sleep .05; done; exit 64")),
                ])
            var settings = Supervisor.Settings(
                logs: folder.appending(path: "logs"), record: folder.appending(path: "no/such/nodes.json"),
                isTerminal: false)
            settings.limits.grace = 0.1
            var supervisor = try Supervisor(plan, settings: settings, stopRequests: StopRequests()) { _ in }
            #expect(throws: (any Error).self) { try supervisor.run() }
            return try String(contentsOf: pidFile, encoding: .utf8)
        }
        let number = try #require(Int32(pid.trimmingCharacters(in: .whitespacesAndNewlines)))
        try await poll("it is gone") { !isAlive(number) }
    }

    @Test func progressIsShownAtTheBottomNotAmongTheLines() async throws {
        let run = try await Run.of(isTerminal: true) { _ in
            LaunchPlan(nodes: [
                .init(
                    name: "trainer", role: "train", life: .service(mayEnd: false),
                    stages: [
                        shell(
                            "train",
                            "trap 'exit 0' TERM; echo '@progress 0.5 trained 5/10'; while :; do sleep .05; done")
                    ]),
                job("north", shell("train", "echo '@progress 0.34 head 4/12'; sleep .8; echo done; sleep .2")),
                job("east", shell("train", "sleep 1")),
            ])
        }
        #expect(run.output.contains("trainer: trained 5/10 · train: north 34 %, east"))
        #expect(!run.output.contains("@progress"))
        #expect(run.output.contains("north   │\u{1B}[0m done\n"))
        #expect(run.output.hasSuffix("\r\u{1B}[2K"))  // the line at the bottom is taken away
    }

    @Test func whatANodeStatesGoesIntoCommandLines() async throws {
        let run = try await Run.of { _ in
            let sum = LaunchPlan.Argument.sum(nodes: ["north", "east"], key: "published", most: 1000)
            return LaunchPlan(nodes: [
                job("north", shell("publish", "sleep .2; echo '@value published 30'")),
                job(
                    "east", shell("publish", "echo '@value published 12'"),
                    shell("sample", "echo waits for $1", [sum], needs: [.stated("north", key: "published")])),
            ])
        }
        #expect(run.outcome == .success)
        #expect(run.output.contains("waits for 42") && !run.output.contains("@value"))
    }
}

import ArgumentParser
import CProcess
import Foundation
import LoadTest
import ServiceLifecycle
import Topology
import UnixSignals

/// `collafuse loadtest run`, which `collafuse loadtest` means.
struct LoadTestRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a load test and print its report.",
        discussion: """
            Ends with 0 when the test came to its end, and with 3 when a goal of --exit-on-slo was missed. Ctrl-C ends the stages \
            early; a second one ends at once.
            """)

    @OptionGroup(title: "The deployment") var target: LoadTarget
    @OptionGroup(title: "The load") var load: LoadOptions
    @OptionGroup(title: "The report") var output: LoadOutput

    @Option(help: ArgumentHelp("Threads that drive the clients.", valueName: "n"))
    var threads = 1

    @Option(
        help: ArgumentHelp(
            "Keep every job in this file, with its keys: a generator that was killed and is started again with it goes on with those that it has no result of.",
            valueName: "file"), completion: .file())
    var jobLog: String?

    func validate() throws {
        guard (1...64).contains(threads) else { throw ValidationError("--threads is 1 to 64") }
    }

    func run() async throws {
        cprocess_keep_heap(64 << 20)
        let plan = try load.readPlan()
        let goals = try output.goals()
        let files = try output.open()
        let fleet = try target.isLocal ? LocalFleet(target, clients: plan.clients) : nil
        defer { fleet?.stop() }
        let brokers = try await fleet?.endpoints() ?? target.broker
        let keys = try LoadKeys(opening: URL(filePath: target.keysFolder), run: target.run, now: Keys.now)
        var settings = LoadRun.Settings()
        settings.threads = threads
        settings.log = jobLog.map { URL(filePath: $0) }
        settings.isStub = target.results == .stub
        let test = try LoadRun(plan, keys: keys, brokers: brokers, settings: settings, now: Keys.now)
        let view = LiveView()
        let outcome = try await interruptible(test) {
            try await test.run { progress in
                view.show(progress)
                if let fault = fleet?.fault { view.complain(fault) }
            }
        }
        view.end()
        let report = Report(outcome)
        // Not by `print`, which keeps it back in a pipe: what is said of the goals comes after it.
        FileHandle.standardOutput.write(Data((report.text + "\n").utf8))
        try files.write(report)
        guard let goals else { return }
        let missed = goals.missed(in: report)
        let words = missed.isEmpty ? ["Goals reached: \(goals.text)"] : missed.map { "Goal missed: \($0)" }
        for line in words { FileHandle.standardError.write(Data((line + "\n").utf8)) }
        if !missed.isEmpty { throw ExitCode(3) }
    }

    /// The first Ctrl-C ends the stages; the next one the process, as it always does.
    private func interruptible(
        _ test: LoadRun, _ body: @escaping @Sendable () async throws -> Outcome
    ) async throws -> Outcome {
        try await withThrowingTaskGroup(of: Outcome?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                var count = 0
                for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) {
                    count += 1
                    if count > 1 { throw ExitCode(130) }
                    test.finish()
                }
                return nil
            }
            defer { group.cancelAll() }
            while let end = try await group.next() {
                if let outcome = end { return outcome }
            }
            throw CancellationError()
        }
    }
}

/// Which deployment is loaded.
struct LoadTarget: ParsableArguments {
    enum Results: String, ExpressibleByArgument, CaseIterable {
        case stub, any
    }

    @Flag(name: .customLong("local"), help: "Start a broker and stub workers on this machine, for this test alone.")
    var isLocal = false

    @Option(
        help: ArgumentHelp(
            "The folder that `collafuse loadtest keys` made; with --local it is made where it is missing.",
            valueName: "dir"), completion: .directory)
    var keys: String?

    @Option(help: ArgumentHelp("A broker's endpoint for clients. Repeat it for several.", valueName: "endpoint"))
    var broker: [String] = []

    @Option(
        help: ArgumentHelp("The first digits of the run's id, where the deployment has several runs.", valueName: "id"))
    var run: String?

    @Option(help: "Whether samples must be a stub's own, or only of the right shape: stub or any.")
    var results = Results.stub

    @Option(help: ArgumentHelp("--local: stub workers.", valueName: "n"))
    var workers = 4

    @Option(help: ArgumentHelp("--local: what a job takes at a worker.", valueName: "engine"))
    var engine = "stub:5ms"

    @Option(help: ArgumentHelp("--local: jobs that a worker serves at a time.", valueName: "n"))
    var slots = 8

    var keysFolder: String { keys ?? "out/loadtest/keys" }

    func validate() throws {
        guard isLocal || !broker.isEmpty else {
            throw ValidationError("Name a broker with --broker tcp://HOST:PORT, or let --local start one")
        }
        guard !isLocal || broker.isEmpty else {
            throw ValidationError("--local starts its own broker: leave --broker out")
        }
        guard isLocal || keys != nil else {
            throw ValidationError("Name the folder that `collafuse loadtest keys` made: --keys DIR")
        }
        guard StubName(argument: engine) != nil else {
            throw ValidationError("--engine is stub:TIME, such as stub:5ms; not “\(engine)”")
        }
        guard (1...1024).contains(workers), (1...2048).contains(slots) else {
            throw ValidationError("--workers is 1 to 1024, --slots 1 to 2048")
        }
    }
}

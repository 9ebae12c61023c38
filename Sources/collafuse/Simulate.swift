import ArgumentParser
import Foundation
import Simulation

/// `collafuse simulate`
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Play histories of a whole deployment in which everything goes wrong, each from one number.",
        discussion: """
            The broker, the clients and the workers are the real ones; their clock, network and disks are not. What must never \
            happen is checked all along, and at the end that every job has come to its end. The same seed gives the same \
            history, so what it finds can be played again.

              Fifty histories of two hours each:
              collafuse simulate --seeds 1..50 --hours 2

              A bad network alone:
              collafuse simulate --seed 7 --faults cut,loss,duplicate,partition

              A million clients for a minute, each with a job every twenty:
              collafuse simulate --clients 1000000 --workers 2000 --hours 0.017 --seconds-per-job 1200
            """)

    @Option(help: "The number that the history comes from.")
    var seed: UInt64?

    @Option(help: ArgumentHelp("A history for each of these.", valueName: "a..b"))
    var seeds: SeedRange?

    @Option(help: "Virtual hours with faults; a quiet time follows in which all has to be settled.")
    var hours = 1.0

    @Option(help: "How many brokers; clients and workers know all of them.")
    var brokers = 1

    @Option(help: "How many clients.")
    var clients = 4

    @Option(help: "How many workers; one of them trains.")
    var workers = 3

    @Option(help: "Seconds from one job of a client to its next, on average.")
    var secondsPerJob = 12.0

    @Option(
        help: ArgumentHelp(
            "all, none, or some of: \(Fault.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "list"))
    var faults = "all"

    func validate() throws {
        guard seed == nil || seeds == nil else { throw ValidationError("give --seed or --seeds, not both") }
        guard hours > 0, hours <= 10_000 else { throw ValidationError("--hours is more than 0 and at most 10000") }
        guard (1...1_000_000).contains(clients) else { throw ValidationError("--clients is 1 to 1000000") }
        guard (1...16).contains(brokers) else { throw ValidationError("--brokers is 1 to 16") }
        guard (1...10_000).contains(workers) else { throw ValidationError("--workers is 1 to 10000") }
        guard secondsPerJob > 0, secondsPerJob <= 1e6 else {
            throw ValidationError("--seconds-per-job is more than 0 and at most 1000000")
        }
        guard SimulationSettings.faults(faults) != nil else {
            throw ValidationError(
                "--faults is all, none, or some of \(Fault.allCases.map(\.rawValue).joined(separator: ","))")
        }
    }

    func run() throws {
        let range = seeds?.range ?? (seed ?? 1)...(seed ?? 1)
        let start = ContinuousClock.now
        var total = Total()
        for seed in range {
            var settings = SimulationSettings(seed: seed)
            settings.hours = hours
            settings.clients = clients
            settings.brokers = brokers
            settings.workers = workers
            settings.secondsPerJob = secondsPerJob
            settings.faults = SimulationSettings.faults(faults) ?? []
            let report = Simulation(settings).run()
            guard report.violations.isEmpty else {
                print(report.failure)
                throw ExitCode.failure
            }
            total.add(report)
            if range.count == 1 {
                print("history \(String(report.fingerprint, radix: 16))")
            }
        }
        print(total.text(seconds: (ContinuousClock.now - start) / .seconds(1)))
    }
}

/// `3..40`, both ends included.
struct SeedRange: ExpressibleByArgument {
    let range: ClosedRange<UInt64>

    init?(argument: String) {
        let ends = argument.split(separator: ".", omittingEmptySubsequences: true).map { UInt64($0) }
        guard ends.count == 2, let first = ends[0], let last = ends[1], first <= last else { return nil }
        range = first...last
    }
}

private struct Total {
    var histories = 0
    var hours = 0.0
    var events = 0
    var accepted = 0
    var surfaced = 0
    var deadLetters = 0
    var faults: [Fault: Int] = [:]

    mutating func add(_ report: SimulationReport) {
        histories += 1
        hours += report.virtualSeconds / 3_600
        events += report.events
        accepted += report.accepted
        surfaced += report.surfaced
        deadLetters += report.deadLetters
        faults.merge(report.faults, uniquingKeysWith: +)
    }

    func text(seconds: Double) -> String {
        let kinds = faults.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key.rawValue) \($0.value)" }
        return """
            \(histories) histories, \(rounded(hours)) virtual hours, \(events) events: all held
            jobs accepted \(accepted), surfaced \(surfaced), surfaced twice 0, lost 0, dead letters \(deadLetters), all of them poison
            faults \(faults.values.reduce(0, +)): \(kinds.joined(separator: ", "))
            \(rounded(hours / max(seconds, 1e-3))) virtual hours a second
            """
    }

    private func rounded(_ value: Double) -> String { String(format: "%.1f", value) }
}

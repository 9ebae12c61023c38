import ArgumentParser
import CommandOptions
import Foundation
import LoadTest
import Topology

/// What is done to the deployment: a plan from a file, or one made of options.
struct LoadOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("A plan in YAML, such as topology/loadtest.yaml.", valueName: "file"), completion: .file())
    var plan: String?

    @Option(help: ArgumentHelp("Change a value of the plan for this run.", valueName: "key.key=value"))
    var set: [String] = []

    @Option(help: ArgumentHelp("Clients.", valueName: "n"))
    var clients: Int?

    @Option(
        help: ArgumentHelp(
            "How long, and how many jobs a second: 30s@100, or 30s@100..500/s for a ramp. Repeat it.",
            valueName: "stage"))
    var stage: [StageName] = []

    @Option(help: "poisson or constant.")
    var arrivals: LoadPlan.Arrivals?

    @Option(help: ArgumentHelp("The part of jobs that publish, 0 to 1; the others denoise.", valueName: "part"))
    var publish: Double?

    @Option(help: ArgumentHelp("Images in a job: one of these, such as 1,4,16.", valueName: "list"))
    var images: CountList?

    @Option(
        help: ArgumentHelp(
            "Closed loop: a client's next job comes so long after its last result, on average.", valueName: "time"))
    var think: TimeSpan?

    @Option(help: ArgumentHelp("Drop each client's connection after this, on average.", valueName: "time"))
    var churn: TimeSpan?

    @Option(help: ArgumentHelp("The part of clients that read slowly, 0 to 1.", valueName: "part"))
    var slow: Double?

    @Option(help: ArgumentHelp("How long a slow reader looks away.", valueName: "time"))
    var slowPause: TimeSpan?

    @Option(
        help: ArgumentHelp("One client more that sends so many jobs a second by itself.", valueName: "rate"))
    var flood: Double?

    @Option(help: ArgumentHelp("A job without a result after this has timed out.", valueName: "time"))
    var timeout: TimeSpan?

    @Option(help: ArgumentHelp("How long after the last stage results are waited for.", valueName: "time"))
    var drain: TimeSpan?

    @Option(help: ArgumentHelp("Of the plan's randomness.", valueName: "n"))
    var seed: UInt64?

    func validate() throws {
        let shaping: [Any?] = [clients, publish, images, think, churn, slow, slowPause, flood]
        guard plan == nil || (stage.isEmpty && shaping.allSatisfy { $0 == nil }) else {
            throw ValidationError(
                "--plan says what clients do: change it with --set, such as --set tenants.steady.clients=500; only --arrivals, --timeout, --drain and --seed go beside it"
            )
        }
        guard plan != nil || set.isEmpty else { throw ValidationError("--set changes a --plan: name one") }
    }

    /// - Throws: `TopologyError` naming the line; a `CommandFailure` naming what does not fit.
    func readPlan() throws -> LoadPlan {
        var made = fromOptions
        if let plan { made = try LoadPlan(contentsOf: URL(filePath: plan), overrides: set) }
        if let arrivals { made.arrivals = arrivals }
        if let timeout { made.timeout = timeout.value }
        if let drain { made.drain = drain.value }
        if let seed { made.seed = seed }
        if let fault = made.fault { throw CommandFailure("the load does not fit: \(fault)") }
        return made
    }

    private var fromOptions: LoadPlan {
        var tenant = LoadPlan.Tenant(
            name: "steady", clients: clients ?? 100, think: think?.value, publish: publish ?? 0.2,
            images: images?.values ?? [1], churn: churn?.value, slow: slow ?? 0)
        if let slowPause { tenant.slowPause = slowPause.value }
        let flooder = flood.map { LoadPlan.Tenant(name: "flooder", clients: 1, rate: $0, images: tenant.images) }
        let stages = stage.isEmpty ? [LoadPlan.Stage(duration: .seconds(10), from: 100, to: 100)] : stage.map(\.value)
        return LoadPlan(stages: stages, tenants: [tenant] + (flooder.map { [$0] } ?? []))
    }
}

extension LoadPlan.Arrivals: ExpressibleByArgument {}

/// `500ms`
struct TimeSpan: ExpressibleByArgument {
    let value: Duration

    init?(argument: String) {
        guard let value = Duration(spelled: argument) else { return nil }
        self.value = value
    }
}

/// `30s@100..500/s`
struct StageName: ExpressibleByArgument {
    let value: LoadPlan.Stage

    init?(argument: String) {
        guard let value = LoadPlan.Stage(spelled: argument) else { return nil }
        self.value = value
    }
}

/// `1,4,16`
struct CountList: ExpressibleByArgument {
    let values: [Int]

    init?(argument: String) {
        let words = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = words.compactMap { Int($0) }
        guard values.count == words.count, !values.isEmpty else { return nil }
    }
}

/// What is made of the outcome.
struct LoadOutput: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Ends with 3 unless all of it holds: 'p99<50ms,lost=0'. Also max, accept.p99, queue.p99, service.p99, lag.p99, duplicates, timeouts, refused, ended, wrong, unanswered, held, rejected, achieved>=99%, fairness>=0.95.",
            valueName: "goals"))
    var exitOnSlo: String?

    @Option(help: ArgumentHelp("Write all figures to this file.", valueName: "file"), completion: .file())
    var json: String?

    @Option(help: ArgumentHelp("Write a line for every second to this file.", valueName: "file"), completion: .file())
    var csv: String?

    @Option(
        help: ArgumentHelp(
            "Write the distribution of end-to-end times, for HdrHistogram's plotter.", valueName: "file"),
        completion: .file())
    var hdr: String?

    @Option(help: ArgumentHelp("Write a page with plots to this file.", valueName: "file"), completion: .file())
    var html: String?

    func goals() throws -> Goals? { try exitOnSlo.map { text throws(LoadTestError) in try Goals(text) } }

    /// The files that are wanted, made now: a test of an hour shall not end with a folder that is missing.
    func open() throws -> Files {
        let wanted: [(String?, @Sendable (Report) -> String)] = [
            (json, { $0.json + "\n" }), (csv, \.csv), (hdr, \.hdr), (html, \.html),
        ]
        return Files(
            files: try wanted.compactMap { path, content in try path.map { (try ReportFile($0), content) } })
    }

    struct Files {
        let files: [(file: ReportFile, content: @Sendable (Report) -> String)]

        func write(_ report: Report) throws {
            for (file, content) in files { try file.write(Data(content(report).utf8)) }
        }
    }
}

package import Foundation

/// Carries out a `LaunchPlan`: starts processes, reads what they say, waits for their ends, and does what `LaunchMachine`
/// decides. One thread, one loop; `run` blocks until all is over.
///
/// A node tells how far it is by a line "@progress SHARE TEXT", the share from 0 to 1: it is shown at the bottom, not among
/// the lines. By a line "@value KEY VALUE" it states what other stages' command lines are made of.
package struct Supervisor {
    package struct Settings: Sendable {
        package var limits = LaunchMachine.Limits()
        /// Where each node's lines are kept, a file a node.
        package var logs: URL
        /// Where `RunRecord` goes; written anew as stages end, so that closing stages can read it.
        package var record: URL
        package var environment: [String: String]
        /// Shows colours and a status line.
        package var isTerminal: Bool

        package init(
            logs: URL, record: URL, environment: [String: String] = ProcessInfo.processInfo.environment,
            isTerminal: Bool? = nil
        ) {
            self.logs = logs
            self.record = record
            self.environment = environment
            self.isTerminal = isTerminal ?? Terminal.isOutput
        }
    }

    /// Longest wait between two looks at the children and the ready files.
    private static let beat: Int32 = 50

    private struct Running {
        let process: ChildProcess
        let stage: String
        var lines = LineBuffer()
        var outputIsOpen = true
    }

    private struct Progress {
        var share = 0.0
        var text = ""
    }

    private let settings: Settings
    private let stopRequests: StopRequests
    private var machine: LaunchMachine
    private var console: Console
    private var record: RunRecord
    private let begin: Double
    private var running: [String: Running] = [:]
    private var progress: [String: Progress] = [:]
    private var awaited: [String: String]
    private var logs: [String: FileHandle] = [:]
    private var outcome: LaunchMachine.Outcome?
    private var nextSample = 0.0

    /// The name that closing stages run under.
    private static let closing = "closing"

    /// Makes the log folder.
    package init(
        _ plan: LaunchPlan, settings: Settings, stopRequests: StopRequests,
        write: @escaping (String) -> Void = { FileHandle.standardOutput.write(Data($0.utf8)) }
    ) throws {
        self.settings = settings
        self.stopRequests = stopRequests
        machine = LaunchMachine(plan, limits: settings.limits)
        console = Console(names: plan.nodes.map(\.name), isTerminal: settings.isTerminal, write: write)
        record = RunRecord(started: Date().timeIntervalSince1970)
        record.nodes = plan.nodes.map { RunRecord.Node(name: $0.name, role: $0.role) }
        begin = Self.now()
        awaited = plan.nodes.reduce(into: [:]) { $0[$1.name] = $1.readyFile }
        try FileManager.default.createDirectory(at: settings.logs, withIntermediateDirectories: true)
    }

    package mutating func run() throws -> LaunchMachine.Outcome {
        defer {
            // An error on the way, or a closing stage that was cut short, leaves processes behind.
            for child in running.values { child.process.killAndReap() }
            running = [:]
        }
        try take(.begin)
        while true {
            if let outcome {
                console.clear()
                return outcome
            }
            wait()
            if stopRequests.take() { try take(.stop) }
            try readOutputs()
            samplePeaks()
            try reapEnded()
            try lookForReadyFiles()
            if let due = machine.nextTick, Self.now() >= due { try take(.tick) }
            console.show(status: statusLine())
        }
    }

    // MARK: events

    private mutating func take(_ event: LaunchMachine.Event) throws {
        for action in machine.handle(event, at: Self.now()) { try perform(action) }
    }

    /// Until some process says something, a stop is asked for, or a beat has passed.
    private func wait() {
        let outputs = running.values.filter(\.outputIsOpen).map(\.process.output)
        var descriptors = (outputs + [stopRequests.descriptor]).map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        poll(&descriptors, nfds_t(descriptors.count), Self.beat)
    }

    private mutating func readOutputs() throws {
        for name in running.keys.sorted() { try readOutput(of: name) }
    }

    private mutating func readOutput(of name: String) throws {
        guard var child = running[name], child.outputIsOpen else { return }
        guard let bytes = child.process.read() else {
            child.outputIsOpen = false
            running[name] = child
            return
        }
        for line in child.lines.append(bytes) { try show(line, of: name) }
        running[name] = child
    }

    /// Every few beats: memory is what the report tells of, not what the loop is for.
    private mutating func samplePeaks() {
        let now = Self.now()
        guard now >= nextSample else { return }
        nextSample = now + 0.1
        for child in running.values { child.process.samplePeak() }
    }

    private mutating func reapEnded() throws {
        for name in running.keys.sorted() {
            guard let child = running[name], let end = child.process.reap() else { continue }
            // What it said last; a grandchild may hold the pipe open, so no waiting for its end.
            while let bytes = child.process.read(), !bytes.isEmpty {
                for line in running[name]?.lines.append(bytes) ?? [] { try show(line, of: name) }
            }
            if let rest = running[name]?.lines.finish() { try show(rest, of: name) }
            running[name] = nil
            progress[name] = nil
            note(end, of: name, stage: child.stage, since: child.process.started)
            try take(name == Self.closing ? .closingEnded(end.exit) : .ended(node: name, end.exit))
            if let index = record.nodes.firstIndex(where: { $0.name == name }) {
                record.nodes[index].restarts = machine.restarts(of: name)
            }
        }
    }

    private mutating func lookForReadyFiles() throws {
        for (name, file) in awaited {
            guard let bytes = FileManager.default.contents(atPath: file),
                let values = try? JSONDecoder().decode([String: String].self, from: bytes)
            else { continue }  // not there yet, or not whole
            awaited[name] = nil
            try take(.ready(node: name, values: values))
        }
    }

    // MARK: actions

    private mutating func perform(_ action: LaunchMachine.Action) throws {
        switch action {
        case .start(let name, let stage, let arguments):
            do {
                try start(stage, arguments, as: name)
            } catch {
                try take(.ended(node: name, .notStarted(error.reason)))
            }
        case .startClosing(let stage, let arguments):
            try writeRecord()
            do {
                try start(stage, arguments, as: Self.closing)
            } catch {
                try take(.closingEnded(.notStarted(error.reason)))
            }
        case .terminate(let name): running[name]?.process.terminate()
        case .kill(let name): running[name]?.process.killGroup()
        case .tell(let text): console.line(text)
        case .finish(let outcome):
            try writeRecord()
            self.outcome = outcome
        }
    }

    private mutating func start(
        _ stage: LaunchPlan.Stage, _ arguments: [String], as name: String
    ) throws(ChildProcess.StartError) {
        let environment = settings.environment.merging(stage.environment) { $1 }
        let process = try ChildProcess(
            executable: stage.executable, arguments: arguments, environment: environment, now: Self.now())
        running[name] = Running(process: process, stage: stage.name)
    }

    private mutating func note(_ end: ChildProcess.End, of name: String, stage: String, since start: Double) {
        record.phases.append(.init(node: name, name: stage, start: start - begin, end: Self.now() - begin))
        guard let index = record.nodes.firstIndex(where: { $0.name == name }) else { return }
        record.nodes[index].cpuSeconds += end.cpuSeconds
        record.nodes[index].peakMegabytes = max(record.nodes[index].peakMegabytes, Double(end.peakBytes) / 1e6)
    }

    private mutating func writeRecord() throws {
        record.seconds = Self.now() - begin
        try record.write(to: settings.record)
    }

    // MARK: what is shown

    private mutating func show(_ line: String, of name: String) throws {
        if line.hasPrefix("@progress ") {
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count == 3, let share = Double(words[1]), (0...1).contains(share) else { return }
            // Where nothing can be shown at the bottom, every tenth is a line.
            let isNewTenth = Int(share * 10) > Int((progress[name]?.share ?? 0) * 10)
            progress[name] = Progress(share: share, text: String(words[2]))
            if !settings.isTerminal, isNewTenth { console.line(String(words[2]), from: name) }
            return
        }
        if line.hasPrefix("@value ") {
            let words = line.split(separator: " ", maxSplits: 2).map(String.init)
            if words.count == 3 { try take(.stated(node: name, key: words[1], value: words[2])) }
            return
        }
        // A closing stage speaks to the person directly: its panel stands on its own.
        if name == Self.closing { console.line(line) } else { console.line(line, from: name) }
        if logs[name] == nil {
            let url = settings.logs.appending(path: "\(name).log")
            try Data().write(to: url)
            logs[name] = try FileHandle(forWritingTo: url)
        }
        try logs[name]?.write(contentsOf: Data((line + "\n").utf8))
    }

    /// Services that tell how far they are, in their own words; then the jobs, by stage.
    ///
    ///     42 s  trainer: trained 15168/40000 · loss above floor 0.031 · train: north 51 %, east 47 %
    private func statusLine() -> String {
        var parts = machine.plan.nodes.filter { $0.life != .job }.compactMap { node in
            progress[node.name].map { "\(node.name): \($0.text)" }
        }
        let jobs = machine.plan.nodes.filter { $0.life == .job && running[$0.name] != nil }.map(\.name)
        let stages = jobs.compactMap { running[$0]?.stage }
        for stage in stages.indices.filter({ stages.firstIndex(of: stages[$0]) == $0 }).map({ stages[$0] }) {
            let there = jobs.filter { running[$0]?.stage == stage }.map { name in
                progress[name].map { "\(name) \(Int(($0.share * 100).rounded())) %" } ?? name
            }
            parts.append("\(stage): " + there.joined(separator: ", "))
        }
        if let closing = running[Self.closing] { parts.append(closing.stage) }
        return "\(Int(Self.now() - begin)) s  " + parts.joined(separator: " · ")
    }

    /// Monotonic, in seconds.
    private static func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }
}

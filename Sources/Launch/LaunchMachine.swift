/// Decides which process starts, starts again or stops, and when the whole is over. Pure: events in, actions out.
///
/// Each node goes this way:
///
///     waiting ──needs met──► running ──good end, another stage──► waiting
///        ▲                     │  └────good end, last stage────► done          (jobs)
///        └──after a pause──  paused ◄──any end of a service, bad end of a job──┘
///
/// A run goes `working → stopping → closing → over`. It stops when all jobs are done, when a person says so, or when a node
/// has failed more often than `Limits` allow. Stopping is SIGTERM, then SIGKILL after a grace.
package struct LaunchMachine {
    package struct Limits: Sendable {
        /// How often one stage is started again before the run is given up.
        package var restarts = 5
        /// Before the first restart; doubles with each.
        package var pause = 0.5
        /// Between SIGTERM and SIGKILL.
        package var grace = 10.0

        package init() {}
    }

    /// How a process ended.
    package enum Exit: Hashable, Sendable {
        case code(Int32)
        case signal(Int32)
        /// It could not be started at all.
        case notStarted(String)

        package var isGood: Bool { self == .code(0) }
    }

    package enum Event {
        case begin
        /// The node's ready file is there and says this.
        case ready(node: String, values: [String: String])
        /// The node said so by itself.
        case stated(node: String, key: String, value: String)
        case ended(node: String, Exit)
        case closingEnded(Exit)
        /// A person wants it to end: the second time, at once.
        case stop
        /// Time has passed.
        case tick
    }

    package enum Action: Hashable {
        case start(node: String, stage: LaunchPlan.Stage, arguments: [String])
        case startClosing(stage: LaunchPlan.Stage, arguments: [String])
        /// SIGTERM.
        case terminate(node: String)
        /// SIGKILL.
        case kill(node: String)
        /// For the person at the terminal.
        case tell(String)
        case finish(Outcome)
    }

    package enum Outcome: Hashable, Sendable {
        case success
        case stopped
        case failure(String)
    }

    private enum State {
        case waiting
        case running
        case paused(until: Double)
        case done
    }

    private struct NodeState {
        var state = State.waiting
        var stage = 0
        var failures = 0
        var isReady = false
    }

    private enum Phase: Equatable {
        case working
        case stopping(since: Double, killed: Bool, because: Outcome)
        case closing(index: Int)
        case over
    }

    /// Ends that no restart mends: a command line that was refused (EX_USAGE), a file that is wrong (EX_DATAERR).
    private static let hopelessCodes: Set<Int32> = [64, 65]

    package let plan: LaunchPlan
    private let limits: Limits
    private var nodes: [String: NodeState]
    private var values: [String: [String: String]] = [:]
    private var phase = Phase.working

    package init(_ plan: LaunchPlan, limits: Limits = Limits()) {
        self.plan = plan
        self.limits = limits
        nodes = Dictionary(uniqueKeysWithValues: plan.nodes.map { ($0.name, NodeState()) })
    }

    /// When `tick` is due at the latest, in the clock of `now`; nil when nothing waits for time alone.
    package var nextTick: Double? {
        if case .stopping(let since, false, _) = phase { return since + limits.grace }
        return nodes.values.compactMap { if case .paused(let until) = $0.state { until } else { nil } }.min()
    }

    /// How often the node's processes have ended badly, as a service or as a job.
    package func restarts(of node: String) -> Int { nodes[node]?.failures ?? 0 }

    package mutating func handle(_ event: Event, at now: Double) -> [Action] {
        switch event {
        case .begin, .tick:
            break
        case .ready(let name, let stated):
            nodes[name]?.isReady = true
            values[name, default: [:]].merge(stated) { $1 }
        case .stated(let name, let key, let value):
            values[name, default: [:]][key] = value
        case .ended(let name, let exit):
            return ended(name, exit, at: now)
        case .closingEnded(let exit):
            return closingEnded(exit)
        case .stop:
            return stop(because: .stopped, at: now)
        }
        return advance(at: now)
    }

    // MARK: ends

    private mutating func ended(_ name: String, _ exit: Exit, at now: Double) -> [Action] {
        guard let node = plan.nodes.first(where: { $0.name == name }), var state = nodes[name],
            case .running = state.state
        else { return [] }
        guard case .working = phase else {
            state.state = .done
            nodes[name] = state
            return advance(at: now)
        }
        if exit.isGood, node.life != .service(mayEnd: false) {
            state.failures = 0
            state.stage += 1
            state.state = state.stage < node.stages.count ? .waiting : .done
            nodes[name] = state
            return advance(at: now)
        }
        state.failures += 1
        let what = "\(name) (\(node.stages[state.stage].name)) \(exit)"
        let isHopeless = if case .code(let code) = exit { Self.hopelessCodes.contains(code) } else { false }
        guard !isHopeless, state.failures <= limits.restarts else {
            state.state = .done
            nodes[name] = state
            let often = state.failures > 1 ? ", and failed \(state.failures) times" : ""
            return stop(because: .failure("\(what)\(often)"), at: now)
        }
        let pause = limits.pause * Double(1 << (state.failures - 1))
        state.state = .paused(until: now + pause)
        nodes[name] = state
        return [.tell("\(what): starting it again in \(pause) s")]
    }

    private mutating func closingEnded(_ exit: Exit) -> [Action] {
        guard case .closing(let index) = phase else { return [] }
        guard exit.isGood else {
            phase = .over
            return [.finish(.failure("\(plan.closing[index].name) \(exit)"))]
        }
        return close(from: index + 1)
    }

    private mutating func close(from index: Int) -> [Action] {
        guard plan.closing.indices.contains(index) else {
            phase = .over
            return [.finish(.success)]
        }
        phase = .closing(index: index)
        let stage = plan.closing[index]
        return [.startClosing(stage: stage, arguments: resolve(stage.arguments))]
    }

    // MARK: the run

    private mutating func stop(because outcome: Outcome, at now: Double) -> [Action] {
        switch phase {
        case .working:
            phase = .stopping(since: now, killed: false, because: outcome)
            return runningNames.map { .terminate(node: $0) } + advance(at: now)
        case .stopping(let since, _, let first):
            guard outcome == .stopped else { return [] }
            // What was a good end waiting for its services becomes a stop when a person asks for one.
            phase = .stopping(since: since, killed: true, because: first == .success ? .stopped : first)
            return runningNames.map { .kill(node: $0) }
        case .closing:
            phase = .over
            return [.finish(.stopped)]
        case .over:
            return []
        }
    }

    private mutating func advance(at now: Double) -> [Action] {
        switch phase {
        case .working:
            let jobs = plan.nodes.filter { $0.life == .job }
            if !jobs.isEmpty, jobs.allSatisfy({ isDone($0.name) }) { return stop(because: .success, at: now) }
            return startWhatCan(at: now)
        case .stopping(let since, let killed, let outcome):
            if runningNames.isEmpty {
                if outcome == .success { return close(from: 0) }
                phase = .over
                return [.finish(outcome)]
            }
            guard !killed, now >= since + limits.grace else { return [] }
            phase = .stopping(since: since, killed: true, because: outcome)
            return runningNames.flatMap { [.tell("\($0) did not stop in \(limits.grace) s"), .kill(node: $0)] }
        case .closing, .over:
            return []
        }
    }

    private mutating func startWhatCan(at now: Double) -> [Action] {
        var actions: [Action] = []
        for node in plan.nodes {
            guard var state = nodes[node.name] else { continue }
            switch state.state {
            case .paused(let until) where now >= until: state.state = .waiting
            case .waiting: break
            case .paused, .running, .done: continue
            }
            let stage = node.stages[state.stage]
            if stage.needs.allSatisfy(isMet) {
                state.state = .running
                actions.append(.start(node: node.name, stage: stage, arguments: resolve(stage.arguments)))
            }
            nodes[node.name] = state
        }
        return actions
    }

    private func isMet(_ need: LaunchPlan.Need) -> Bool {
        switch need {
        case .ready(let name): nodes[name]?.isReady ?? false
        case .done(let name): isDone(name)
        case .stated(let name, let key): values[name]?[key] != nil
        }
    }

    private func isDone(_ name: String) -> Bool {
        if case .done? = nodes[name]?.state { true } else { false }
    }

    /// In the plan's order, so that the same events give the same actions.
    private var runningNames: [String] {
        plan.nodes.map(\.name).filter { if case .running? = nodes[$0]?.state { true } else { false } }
    }

    private func resolve(_ arguments: [LaunchPlan.Argument]) -> [String] {
        arguments.map { argument in
            switch argument {
            case .text(let text): text
            case .value(let node, let key, let before): values[node]?[key] ?? before
            case .address(let node, let key): "\(node)@\(values[node]?[key] ?? "")"
            case .sum(let nodes, let key, let most):
                String(min(most, nodes.reduce(0) { $0 + (values[$1]?[key].flatMap { Int($0) } ?? 0) }))
            }
        }
    }
}

extension LaunchMachine.Exit: CustomStringConvertible {
    package var description: String {
        switch self {
        case .code(0): "ended"
        case .code(let code): "ended with code \(code)"
        case .signal(let number): "was ended by signal \(number)"
        case .notStarted(let why): "could not be started: \(why)"
        }
    }
}

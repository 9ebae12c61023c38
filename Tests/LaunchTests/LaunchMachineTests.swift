import Launch
import Testing

/// A broker, a worker and a trainer, two clients; nothing is really started.
private func stage(_ name: String, needs: [LaunchPlan.Need] = [], _ arguments: [LaunchPlan.Argument] = [])
    -> LaunchPlan.Stage
{
    LaunchPlan.Stage(name: name, executable: "/bin/\(name)", arguments: arguments, needs: needs)
}

private let ready: [LaunchPlan.Need] = [.ready("broker")]
private let endpoint = LaunchPlan.Argument.value(node: "broker", key: "clients", before: "any")

private let plan = LaunchPlan(
    nodes: [
        .init(
            name: "broker", role: "broker", life: .service(mayEnd: false), stages: [stage("broker", [endpoint])],
            readyFile: "endpoints"),
        .init(name: "worker", role: "denoise", life: .service(mayEnd: false), stages: [stage("denoise", needs: ready)]),
        .init(name: "trainer", role: "train", life: .service(mayEnd: true), stages: [stage("train", needs: ready)]),
        .init(
            name: "a", role: "client", life: .job,
            stages: [stage("publish", needs: ready, [endpoint]), stage("sample", needs: ready + [.done("trainer")])]),
        .init(name: "b", role: "client", life: .job, stages: [stage("publish", needs: ready)]),
    ],
    closing: [stage("report"), stage("tidy")])

private func makeMachine() -> LaunchMachine {
    var limits = LaunchMachine.Limits()
    limits.restarts = 2
    limits.pause = 1
    limits.grace = 10
    return LaunchMachine(plan, limits: limits)
}

/// "start NODE STAGE ARGUMENTS", "terminate NODE" and so on; what is told to the person is left out.
private func words(_ actions: [LaunchMachine.Action]) -> [String] {
    actions.compactMap { action in
        switch action {
        case .start(let node, let stage, let arguments):
            (["start", node, stage.name] + arguments).joined(separator: " ")
        case .startClosing(let stage, _): "close \(stage.name)"
        case .terminate(let node): "terminate \(node)"
        case .kill(let node): "kill \(node)"
        case .tell: nil
        case .finish(let outcome): "finish \(outcome)"
        }
    }
}

@Suite struct LaunchMachineTests {
    @Test func aWholeRun() {
        var machine = makeMachine()
        func after(_ event: LaunchMachine.Event, _ time: Double = 0) -> [String] {
            words(machine.handle(event, at: time))
        }
        #expect(after(.begin) == ["start broker broker any"])
        #expect(
            after(.ready(node: "broker", values: ["clients": "tcp://1"])) == [
                "start worker denoise", "start trainer train", "start a publish tcp://1", "start b publish",
            ])
        #expect(after(.ended(node: "a", .code(0))) == [])  // waits for the trainer
        #expect(after(.ended(node: "b", .code(0))) == [])
        #expect(after(.ended(node: "trainer", .code(0))) == ["start a sample"])
        #expect(after(.ended(node: "a", .code(0))) == ["terminate broker", "terminate worker"])
        #expect(after(.ended(node: "worker", .code(0))) == [])
        #expect(after(.ended(node: "broker", .signal(15))) == ["close report"])
        #expect(after(.closingEnded(.code(0))) == ["close tidy"])
        #expect(after(.closingEnded(.code(0))) == ["finish success"])
        #expect(after(.stop) == [])
    }

    /// A stage that takes what others have stated: fresh masks, which are counted when they are published.
    @Test func whatIsStatedIsAddedUp() {
        let needs: [LaunchPlan.Need] = ["a", "b"].map { .stated($0, key: "published") }
        let count = LaunchPlan.Argument.sum(nodes: ["a", "b"], key: "published", most: 100)
        var machine = LaunchMachine(
            LaunchPlan(
                nodes: ["a", "b"].map {
                    .init(
                        name: $0, role: "client", life: .job,
                        stages: [stage("publish"), stage("sample", needs: needs, [count])])
                }))
        #expect(words(machine.handle(.begin, at: 0)) == ["start a publish", "start b publish"])
        #expect(words(machine.handle(.stated(node: "a", key: "published", value: "30"), at: 1)) == [])
        #expect(words(machine.handle(.ended(node: "a", .code(0)), at: 1)) == [])
        // Killed and started again it states the same.
        #expect(
            words(machine.handle(.stated(node: "b", key: "published", value: "12"), at: 2)) == ["start a sample 42"])
        _ = machine.handle(.ended(node: "b", .signal(9)), at: 2)
        _ = machine.handle(.tick, at: 9)
        _ = machine.handle(.stated(node: "b", key: "published", value: "12"), at: 9)
        #expect(words(machine.handle(.ended(node: "b", .code(0)), at: 9)) == ["start b sample 42"])
        #expect(words(machine.handle(.ended(node: "b", .signal(9)), at: 9)) == [])
        let more = LaunchMachine.Event.stated(node: "b", key: "published", value: "1200")
        #expect(words(machine.handle(more, at: 99)) == ["start b sample 100"])
    }

    @Test func whatCrashesStartsAgainLaterAndLater() {
        var machine = makeMachine()
        _ = machine.handle(.begin, at: 0)
        _ = machine.handle(.ready(node: "broker", values: ["clients": "tcp://1"]), at: 0)
        #expect(words(machine.handle(.ended(node: "broker", .signal(9)), at: 5)) == [])
        #expect(machine.nextTick == 6)
        #expect(words(machine.handle(.tick, at: 5.9)) == [])
        // With the ports it had: the clients need not look for it.
        #expect(words(machine.handle(.tick, at: 6)) == ["start broker broker tcp://1"])
        #expect(words(machine.handle(.ended(node: "broker", .code(0)), at: 7)) == [])  // a broker never ends well
        #expect(machine.nextTick == 9)
        #expect(words(machine.handle(.tick, at: 9)) == ["start broker broker tcp://1"])
        #expect(machine.restarts(of: "broker") == 2)
        let third = words(machine.handle(.ended(node: "broker", .code(1)), at: 10))
        #expect(third == ["terminate worker", "terminate trainer", "terminate a", "terminate b"])
        for node in ["worker", "trainer", "a"] {
            #expect(words(machine.handle(.ended(node: node, .signal(15)), at: 11)) == [])
        }
        #expect(
            words(machine.handle(.ended(node: "b", .signal(15)), at: 11)) == [
                "finish failure(\"broker (broker) ended with code 1, and failed 3 times\")"
            ])
    }

    /// A command line that was refused, and a file, key or image that cannot be used.
    @Test(arguments: [64, 65] as [Int32]) func whatIsHopelessIsNotTriedAgain(code: Int32) {
        var machine = makeMachine()
        _ = machine.handle(.begin, at: 0)
        _ = machine.handle(.ready(node: "broker", values: [:]), at: 0)
        let actions = words(machine.handle(.ended(node: "a", .code(code)), at: 1))
        #expect(actions == ["terminate broker", "terminate worker", "terminate trainer", "terminate b"])
    }

    @Test func aGoodStageForgivesEarlierFailures() {
        var machine = makeMachine()
        _ = machine.handle(.begin, at: 0)
        _ = machine.handle(.ready(node: "broker", values: [:]), at: 0)
        _ = machine.handle(.ended(node: "trainer", .code(0)), at: 0)
        for _ in 0..<2 {
            #expect(words(machine.handle(.ended(node: "a", .signal(9)), at: 0)) == [])
            #expect(words(machine.handle(.tick, at: 100)).first?.hasPrefix("start a publish") == true)
        }
        #expect(words(machine.handle(.ended(node: "a", .code(0)), at: 100)) == ["start a sample"])
        #expect(words(machine.handle(.ended(node: "a", .signal(9)), at: 100)) == [])  // the first failure of this stage
    }

    @Test func ctrlCOnceAsksAndTwiceKills() {
        var machine = makeMachine()
        _ = machine.handle(.begin, at: 0)
        _ = machine.handle(.ready(node: "broker", values: [:]), at: 0)
        let all = ["broker", "worker", "trainer", "a", "b"]
        #expect(words(machine.handle(.stop, at: 1)) == all.map { "terminate \($0)" })
        #expect(words(machine.handle(.ended(node: "a", .signal(15)), at: 2)) == [])
        #expect(words(machine.handle(.stop, at: 3)) == ["kill broker", "kill worker", "kill trainer", "kill b"])
        for node in ["broker", "worker", "trainer"] { _ = machine.handle(.ended(node: node, .signal(9)), at: 3) }
        #expect(words(machine.handle(.ended(node: "b", .signal(9)), at: 3)) == ["finish stopped"])
    }

    @Test func whatDoesNotStopIsKilledAfterTheGrace() {
        var machine = makeMachine()
        _ = machine.handle(.begin, at: 0)
        #expect(words(machine.handle(.stop, at: 5)) == ["terminate broker"])
        #expect(machine.nextTick == 15)
        #expect(words(machine.handle(.tick, at: 14.9)) == [])
        #expect(words(machine.handle(.tick, at: 15)) == ["kill broker"])
        #expect(machine.nextTick == nil)
        #expect(words(machine.handle(.ended(node: "broker", .signal(9)), at: 15)) == ["finish stopped"])
    }

    @Test func aFailedReportIsAFailure() {
        let small = LaunchPlan(
            nodes: [.init(name: "a", role: "client", life: .job, stages: [stage("publish")])],
            closing: [stage("report")])
        var machine = LaunchMachine(small)
        _ = machine.handle(.begin, at: 0)
        #expect(words(machine.handle(.ended(node: "a", .code(0)), at: 1)) == ["close report"])
        #expect(
            words(machine.handle(.closingEnded(.code(2)), at: 2)) == ["finish failure(\"report ended with code 2\")"])
    }
}

internal import Exchange
internal import Fabric
internal import Observability
package import Topology

/// How a load test stands, once a second.
package struct LoadProgress: Sendable {
    package enum Phase: Sendable { case connecting, running, draining }

    package let phase: Phase
    package let clients: Int
    package let welcomed: Int
    /// Since the first job could be due, and until the last can.
    package let elapsed: Double
    package let duration: Double
    package let underWay: Int
    /// Of the last second.
    package let second: Second
    /// From the start.
    package let counts: Tally.Counts
    package let note: String
}

/// One line of the time series.
package struct Second: Sendable {
    /// At its end, from the start.
    package let time: Double
    /// How long it really was.
    package let length: Double
    package let counts: Tally.Counts
    package let rejects: Int
    package let underWay: Int
    /// End to end, in milliseconds, of the jobs that ended in it; nil: none did.
    package let p50: Double?
    package let p99: Double?
    package let max: Double?
    package let lag99: Double?
}

/// What came of a load test.
package struct Outcome: Sendable {
    package let plan: LoadPlan
    package let tally: Tally
    package let seconds: [Second]
    /// Right results of each client, by tenant.
    package let done: [[Int]]
    /// In which jobs came due, in seconds: all stages, unless the test was ended before.
    package let stages: Double
    /// From the first job to the last right result that was in time, in seconds; 0: there was none.
    package let lastDone: Double
    /// To the end of it all.
    package let elapsed: Double
    /// That this process used meanwhile, in seconds.
    package let cpuSeconds: Double
    package let connections: Int
    package let threads: Int
}

/// Adds up what the drivers count.
final class LoadObserver {
    private let plan: LoadPlan
    private let boards: [DriverBoard]
    private var total: Tally
    private var seconds: [Second] = []
    private var start: Int64 = 0
    private var end: Int64 = 0
    private var last: Int64 = 0
    private var cpuAtStart = 0.0
    private var done: [[Int]]
    private(set) var isOver = false

    init(plan: LoadPlan, boards: [DriverBoard]) {
        self.plan = plan
        self.boards = boards
        total = Tally(tenants: plan.tenants.count)
        done = Array(repeating: [], count: plan.tenants.count)
    }

    /// Sessions now, and what the broker said last.
    var sessions: (welcomed: Int, note: String) {
        let standings = boards.map(\.standing)
        return (standings.reduce(0) { $0 + $1.welcomed }, standings.map(\.note).first { !$0.isEmpty } ?? "")
    }

    func connecting() -> LoadProgress {
        let second = Second(
            time: 0, length: 0, counts: .init(), rejects: 0, underWay: 0, p50: nil, p99: nil, max: nil, lag99: nil)
        return LoadProgress(
            phase: .connecting, clients: plan.clients, welcomed: sessions.welcomed, elapsed: 0,
            duration: plan.duration.seconds, underWay: 0, second: second, counts: .init(), note: sessions.note)
    }

    /// - Returns: the uptime from which jobs may be due.
    func begin() -> Int64 {
        start = Moment.now().uptime + 200_000_000
        end = start + plan.duration.nanoseconds
        last = start
        cpuAtStart = ProcessFigures.now().cpuSeconds
        return start
    }

    /// Takes what was counted since the last look.
    func look() -> LoadProgress {
        var tally = Tally(tenants: plan.tenants.count), underWay = 0, welcomed = 0, note = "", isOver = true
        var end = start
        for board in boards {
            let state = board.take()
            tally.add(state.tally)
            underWay += state.underWay
            welcomed += state.welcomed
            if !state.note.isEmpty { note = state.note }
            isOver = isOver && state.isOver
            end = max(end, state.end ?? self.end)
            for client in state.done { done[client.tenant].append(client.done) }
        }
        let now = Moment.now().uptime
        let endToEnd = tally.endToEnd
        let second = Second(
            time: seconds(until: now), length: Double(now - last) / 1e9, counts: tally.counts,
            rejects: tally.rejects.values.reduce(0, +), underWay: underWay, p50: endToEnd.percentile(50),
            p99: endToEnd.percentile(99), max: endToEnd.percentile(100), lag99: tally.lag.percentile(99))
        last = now
        self.end = end
        seconds.append(second)
        total.add(tally)
        self.isOver = isOver
        return LoadProgress(
            phase: now > end ? .draining : .running, clients: plan.clients, welcomed: welcomed, elapsed: second.time,
            duration: seconds(until: end), underWay: underWay, second: second, counts: total.counts, note: note)
    }

    private func seconds(until uptime: Int64) -> Double { Double(uptime - start) / 1e9 }

    func outcome(connections: Int) -> Outcome {
        Outcome(
            plan: plan, tally: total, seconds: seconds, done: done, stages: seconds(until: end),
            lastDone: total.lastDone > start ? seconds(until: total.lastDone) : 0, elapsed: seconds(until: last),
            cpuSeconds: ProcessFigures.now().cpuSeconds - cpuAtStart, connections: connections, threads: boards.count)
    }
}

internal import Synchronization

/// Where a driver's thread writes down what happens, and the one that watches reads it.
final class DriverBoard: Sendable {
    struct State {
        /// Since it was last taken.
        var tally: Tally
        var underWay = 0
        var welcomed = 0
        /// What brokers said last when something was not well.
        var note = ""
        /// Right results of each client, once the driver is over.
        var done: [(tenant: Int, done: Int)] = []
        /// Uptime from which no job is due any more; nil: the test has not begun.
        var end: Int64?
        var isOver = false
    }

    private let state: Mutex<State>
    private let tenants: Int

    init(tenants: Int) {
        self.tenants = tenants
        state = Mutex(State(tally: Tally(tenants: tenants)))
    }

    func count(_ change: (inout Tally) -> Void) { state.withLock { change(&$0.tally) } }
    func isWelcomed(_ more: Int) { state.withLock { $0.welcomed += more } }
    func note(_ text: String) { state.withLock { $0.note = text } }
    func set(end: Int64) { state.withLock { $0.end = end } }
    func set(underWay: Int) { state.withLock { $0.underWay = underWay } }

    func finish(done: [(tenant: Int, done: Int)]) {
        state.withLock { state in
            state.done = done
            state.isOver = true
        }
    }

    /// What was counted since the last time, and how things stand.
    func take() -> State {
        let empty = Tally(tenants: tenants)
        return state.withLock { state in
            defer {
                state.tally = empty
                state.done = []
            }
            return state
        }
    }

    /// Without taking anything.
    var standing: (welcomed: Int, note: String) { state.withLock { ($0.welcomed, $0.note) } }
}

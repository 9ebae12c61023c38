internal import Exchange
internal import Fabric
internal import Logging
internal import Synchronization
internal import Wire

/// A worker's lines to its brokers, as one: whatever any of them wants goes to the engine, and what the engine says of a job to the
/// broker whose lease it has.
///
/// A worker is there for all brokers at once, with all of its slots, so that none of them has clients and no workers; what comes at
/// the same time waits in the engine's line. A job that a client handed to two brokers is done for one at a time. From any thread.
final class Switchboard: Sendable {
    private struct State {
        var lines: [DealerLink<WorkerCore>] = []
        /// On which line a broker answered last.
        var places: [BrokerID: Int] = [:]
        /// Under whose lease a job is here.
        var here: [JobKey: Fence] = [:]
        /// Model versions that each line's broker names.
        var needed: [Int: Set<UInt64>] = [:]
    }

    private let state = Mutex(State())
    private let orders: WorkQueue<EngineOrder>
    private let logger: Logger

    init(orders: WorkQueue<EngineOrder>, logger: Logger) {
        self.orders = orders
        self.logger = logger
    }

    var lines: [DealerLink<WorkerCore>] { state.withLock { $0.lines } }

    /// Lines are added before any of them runs, in the order of their places.
    func add(_ line: DealerLink<WorkerCore>) { state.withLock { $0.lines.append(line) } }

    func hear(_ event: WorkerCore.Event, at place: Int) {
        switch event {
        case .welcomed(let broker, _, _): state.withLock { $0.places[broker] = place }
        case .job(let assignment): take(assignment, at: place)
        case .cancel(let key, let fence, _):
            state.withLock { state in
                if state.here[key] == fence { state.here[key] = nil }
            }
            orders.put(.cancel(key, fence))
        case .versionsNeeded(let versions):
            let all = state.withLock { state in
                state.needed[place] = versions
                return state.needed.values.reduce(into: Set()) { $0.formUnion($1) }
            }
            orders.put(.keep(all))
        case .resultStored(let key, _, stale: true):
            logger.notice("a result came too late", metadata: ["job": "\(key)"])
        case .lost(let loss):
            logger.notice("no session with the broker; trying again", metadata: ["reason": "\(loss.reason)"])
        case .brokerDraining: logger.notice("the broker takes no more jobs")
        case .resultStored: break
        }
    }

    private func take(_ assignment: WorkerCore.Assignment, at place: Int) {
        let key = assignment.key, fence = assignment.fence
        let isElsewhere = state.withLock { state in
            if let other = state.here[key], other.broker != fence.broker { return true }
            state.here[key] = fence
            return false
        }
        guard isElsewhere else { return orders.put(.job(assignment)) }
        let line = state.withLock { $0.lines[place] }
        line.send(.nack(key, fence, .busy, "it is done for another broker at the moment", retryAfter: 0))
    }

    /// What the engine says.
    func say(_ command: WorkerCore.Command) {
        guard let (key, fence) = command.lease else {
            for line in lines { line.send(command) }
            return
        }
        let line = state.withLock { state in
            if command.isLast, state.here[key] == fence { state.here[key] = nil }
            return state.places[fence.broker].map { state.lines[$0] }
        }
        line?.send(command)
    }
}

internal import Exchange
internal import Wire

/// A process with DEALERs: what it has in common, be it a client's or a worker's. The state machines are the product's; the rest
/// is what their shells do.
class Node {
    /// One DEALER, with a machine behind it.
    struct Port {
        /// Place of the broker that it goes to.
        var broker: Int
        /// Grows with every socket that was opened.
        var socket = 0
        /// Under which the broker knows the socket; nil: the next message opens one.
        var connection: ConnectionID?
        var lastMessage: Frames?
        var tickDue: Int64 = .max
        var isClosed = false
    }

    let index: Int
    let principal: Principal
    unowned let world: Simulation
    var random: SplitMix64

    var isUp = true
    /// Grows with every start: what an earlier process had planned does not happen.
    var life = 0
    var ports: [Port]
    var pausedUntil: Int64 = 0
    var partitionedUntil: Int64 = 0
    var losesNext = false

    /// - Parameter brokers: places of those that the ports go to.
    init(index: Int, principal: Principal, brokers: [Int], world: Simulation, random: SplitMix64) {
        self.index = index
        self.principal = principal
        ports = brokers.map { Port(broker: $0) }
        self.world = world
        self.random = random
    }

    func nextDeadline(_ port: Int) -> Int64? { nil }
    func start() {}
    func opened(_ port: Int) {}
    func receive(_ frames: Frames, _ port: Int) {}
    func tick(_ port: Int) {}
    /// Ends as SIGTERM would have it.
    func leave() {}

    func carryOut<Event: Sendable>(_ actions: [LinkAction<Event>], _ port: Int, _ handle: (Event) -> Void) {
        let life = life
        for action in actions where isUp && self.life == life {
            switch action {
            case .send(let frames): world.send(frames, from: self, port)
            case .event(let event): handle(event)
            case .reconnect: reopen(port)
            case .move:
                // A worker has a port for each.
                if ports.count == 1 { ports[port].broker = (ports[port].broker + 1) % world.settings.brokers }
                reopen(port)
            case .close:
                ports[port].isClosed = true
                if ports.allSatisfy(\.isClosed) { world.stop(self) }
            }
        }
        guard isUp, self.life == life, let deadline = nextDeadline(port), deadline < ports[port].tickDue else { return }
        ports[port].tickDue = max(deadline, world.now)
        world.schedule(.tick(node: index, port: port), at: ports[port].tickDue)
    }

    private func reopen(_ port: Int) {
        ports[port].socket += 1
        ports[port].connection = nil
        opened(port)
    }
}

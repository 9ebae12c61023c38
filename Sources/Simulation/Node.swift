internal import Exchange
internal import Wire

/// A process with a DEALER: what it has in common, be it a client's or a worker's. The state machine is the product's; the rest
/// is what its shell does.
class Node {
    let index: Int
    let principal: Principal
    unowned let world: Simulation
    var random: SplitMix64

    var isUp = true
    /// Grows with every start: what an earlier process had planned does not happen.
    var life = 0
    /// Grows with every socket that was opened.
    var socket = 0
    /// Under which the broker knows the socket; nil: the next message opens one.
    var connection: ConnectionID?
    var lastMessage: Frames?
    var tickDue: Int64 = .max
    var pausedUntil: Int64 = 0
    var partitionedUntil: Int64 = 0
    var losesNext = false

    init(index: Int, principal: Principal, world: Simulation, random: SplitMix64) {
        self.index = index
        self.principal = principal
        self.world = world
        self.random = random
    }

    var nextDeadline: Int64? { nil }
    func start() {}
    func opened() {}
    func receive(_ frames: Frames) {}
    func tick() {}
    /// Ends as SIGTERM would have it.
    func leave() {}

    func carryOut<Event: Sendable>(_ actions: [LinkAction<Event>], _ handle: (Event) -> Void) {
        let life = life
        for action in actions where isUp && self.life == life {
            switch action {
            case .send(let frames): world.send(frames, from: self)
            case .event(let event): handle(event)
            case .reconnect:
                socket += 1
                connection = nil
                opened()
            case .close: world.stop(self)
            }
        }
        guard isUp, self.life == life, let deadline = nextDeadline, deadline < tickDue else { return }
        tickDue = max(deadline, world.now)
        world.schedule(.tick(node: index), at: tickDue)
    }
}

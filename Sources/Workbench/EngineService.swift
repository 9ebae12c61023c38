internal import Exchange
internal import Fabric
internal import Foundation
package import Logging
internal import Monitoring
internal import ServiceLifecycle
internal import Sodium
internal import Trust
package import Wire
internal import ZeroMQ

/// A worker at work: a link to each broker on a thread of its own, an engine on another, orders and answers between them.
package struct EngineService: Service {
    private let identity: WorkerIdentity
    private let engine: any Engine
    private let offer: WorkerCore.Offer
    private let board: WorkerBoard?
    private let place: Int
    private let logger: Logger

    /// - Parameters:
    ///   - slots: jobs that may be leased to it at a time.
    ///   - model: the backbone that it has now; nil: none.
    ///   - board: where its figures are written, for a monitoring server, at this place.
    package init(
        _ identity: WorkerIdentity, engine: any Engine, slots: UInt32, model: WireModelVersion? = nil,
        board: WorkerBoard? = nil, place: Int = 0, logger: Logger
    ) {
        self.identity = identity
        self.engine = engine
        offer = WorkerCore.Offer(
            roles: Set(identity.roles.map { $0 == .train ? .train : .denoise }), slots: slots, run: identity.runID,
            poolKeys: identity.secrets.keyIDs, model: model)
        self.board = board
        self.place = place
        self.logger = logger
    }

    /// An engine that took no orders for so many seconds hangs: between two passes or steps it takes them.
    private static let longestPass = 120.0

    package func run() async throws {
        let orders = engine.orders
        let gauges = WorkerGauges(name: identity.name, roles: offer.roles.map(\.rawValue).sorted())
        let switchboard = Switchboard(orders: orders, logger: logger)
        let context = try Context()
        for (place, endpoints) in identity.lines.enumerated() {
            switchboard.add(
                try DealerLink(
                    context: context, brokers: endpoints, identity: identity.curve,
                    machine: WorkerCore(offer: offer, random: SecureRandom()), name: "link", logger: logger,
                    deliver: { event in
                        gauges.hear(event, at: place)
                        switchboard.hear(event, at: place)
                    }))
        }
        let roles = offer.roles.map(\.rawValue).sorted().joined(separator: " and ")
        logger.info("worker started", metadata: ["worker": "\(identity.name)", "role": "\(roles)"])
        let engineEnd = EngineThread.start(engine) { command in
            gauges.say(command)
            switchboard.say(command)
        }
        let posting = board.map { board in
            Task {
                while !Task.isCancelled {
                    // What an engine that hangs has not renewed says so.
                    if orders.secondsUnread < Self.longestPass { board.post(gauges.figures, from: place) }
                    try await Task.sleep(for: .seconds(1))
                }
            }
        }
        defer { posting?.cancel() }
        try await withGracefulShutdownHandler {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for line in switchboard.lines { group.addTask { try await line.run() } }
                group.addTask { try await engineEnd.value }
                // Whichever ends first ends the other.
                defer {
                    for line in switchboard.lines { line.close() }
                    orders.put(.stop)
                }
                try await group.next()
                // What the engine said last is heard before the link goes.
                switchboard.say(.close)
                orders.put(.stop)
                try await group.waitForAll()
            }
        } onGracefulShutdown: {
            switchboard.say(.drain)
            orders.put(.stop)
        }
        logger.info("worker stopped", metadata: ["worker": "\(identity.name)"])
    }
}

/// Runs an engine on a thread of its own: a forward pass on the cooperative pool would starve every `await`.
private enum EngineThread {
    static func start(
        _ engine: any Engine, send: @escaping @Sendable (WorkerCore.Command) -> Void
    ) -> Task<Void, any Error> {
        Task {
            try await withCheckedThrowingContinuation { (end: CheckedContinuation<Void, any Error>) in
                let thread = Thread { end.resume(with: Result { try engine.run(send: send) }) }
                thread.name = "engine"
                thread.stackSize = 16 << 20
                thread.start()
            }
        }
    }
}

package import Exchange
package import Logging
internal import Synchronization
package import ZeroMQ

/// One end of a DEALER and the state machine that speaks on it: the worker's or the client's.
///
///     let link = try DealerLink(context: context, brokers: brokers, identity: keys, machine: core, logger: logger) {
///         events.yield($0)
///     }
///     async let done: Void = link.run()
///     link.send(.submit(job))
///
/// It has a thread of its own, which owns the socket and the machine; `send` may be called from any thread, before `run`
/// too. Events are delivered on the link's thread, in order: take them quickly, and never wait there.
package final class DealerLink<Machine: LinkMachine>: Sendable {
    package typealias Deliver = @Sendable (Machine.Event) -> Void
    package typealias Report = @Sendable (LinkReport) -> Void

    private typealias Start = @Sendable () -> Result<Void, ZeroMQError>

    /// nil once it runs: what `deliver` holds, often the link itself, is let go when the run ends.
    private let start: Mutex<Start?>
    private let inbox: Inbox<LinkRequest<Machine.Command>>
    private let name: String

    /// - Parameters:
    ///   - brokers: at least one. They are tried in an order of this key's own; the next one when the machine asks for it, or the
    ///     last cannot be reached.
    ///   - name: of the thread.
    package init(
        context: Context, brokers: [BrokerAddress], identity: CurveIdentity, machine: Machine,
        settings: LinkSettings = LinkSettings(), name: String = "link", logger: Logger,
        clock: @escaping @Sendable () -> Moment = Moment.now, report: @escaping Report = { _ in },
        deliver: @escaping Deliver
    ) throws(ZeroMQError) {
        guard !brokers.isEmpty else { throw ZeroMQError(.badEndpoint, "no broker is named; name at least one") }
        self.name = name
        let inbox = try Inbox<LinkRequest<Machine.Command>>()
        self.inbox = inbox
        start = Mutex {
            let loop = LinkLoop(
                context: context, brokers: BrokerAddress.order(brokers, for: identity.key), identity: identity,
                machine: machine, inbox: inbox,
                settings: settings, logger: logger, clock: clock, report: report, deliver: deliver)
            return Result { () throws(ZeroMQError) in try loop.run() }
        }
    }

    /// Asks the machine for something. After the link has ended it is ignored.
    package func send(_ command: Machine.Command) {
        inbox.put(.command(command))
    }

    /// Ends the link; what the machine has already sent still goes out for a moment. That is a courtesy and no receipt:
    /// when unread messages of the broker wait here, the kernel resets the connection and the broker may lose the rest.
    package func close() {
        inbox.put(.close)
    }

    /// Runs until the machine closes, `close` is called or the task is cancelled. A link runs once.
    /// - Throws: `ZeroMQError` when an endpoint is not one, or the system has no sockets left; `.wrongState` the second time.
    package func run() async throws {
        let taken = start.withLock { start in
            defer { start = nil }
            return start
        }
        guard let taken else { throw ZeroMQError(.wrongState, "this link has run before; make another") }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (end: CheckedContinuation<Void, any Error>) in
                LoopThread.start(named: name) { end.resume(with: taken().mapError { $0 }) }
            }
        } onCancel: {
            close()
        }
    }
}

enum LinkRequest<Command: Sendable>: Sendable {
    case command(Command)
    case close
}

package import Wire

/// A state machine on one end of a DEALER: the worker's and the client's.
///
/// It decides; `DealerLink` (in Fabric) owns the socket, the clock and the thread, and carries the actions out in order.
///
/// Frames to send come numbered: the machine counts its messages within the session, and the shell sends
/// `frames.parts(sequence: frames.control.sequence)`. So whatever gets lost between the two machines shows as a gap.
package protocol LinkMachine: Sendable {
    /// What the rest of the program asks of it.
    associatedtype Command: Sendable
    /// What it tells the rest of the program.
    associatedtype Event: Sendable

    /// A fresh socket was opened: whatever session there was is over.
    mutating func opened(at now: Moment) -> [LinkAction<Event>]
    mutating func receive(_ frames: Frames, at now: Moment) -> [LinkAction<Event>]
    /// The broker sent bytes that are no message of the protocol.
    mutating func receivedGarbage(_ error: WireError, at now: Moment) -> [LinkAction<Event>]
    mutating func handle(_ command: Command, at now: Moment) -> [LinkAction<Event>]
    mutating func tick(at now: Moment) -> [LinkAction<Event>]
    /// The uptime in nanoseconds at which `tick` has something to do; nil: never.
    var nextDeadline: Int64? { get }
}

package enum LinkAction<Event: Sendable>: Sendable {
    case send(Frames)
    case event(Event)
    /// Close the socket and open another to the same broker. Answered by `opened(at:)`.
    case reconnect
    /// The same, to the next broker of the list if there are several.
    case move
    /// The session is over and no other is wanted: close the socket and end the thread.
    case close
}

/// Which ROUTER a connection came in by.
package enum Side: CaseIterable, Hashable, Sendable {
    case client, worker
}

/// A connection as the broker's shell knows it: one routing id on one ROUTER, never used again after it was dropped.
package struct ConnectionID: Hashable, Sendable {
    package let side: Side
    package let number: UInt64

    package init(side: Side, number: UInt64) {
        self.side = side
        self.number = number
    }
}

/// Who stands behind an authenticated CURVE key, by the roster and the worker certificates.
package enum Principal: Hashable, Sendable {
    case client(ClientID, ClientRights)
    case worker(WorkerID, roles: Set<WorkerRole>)
}

package enum WorkerRole: String, Hashable, Sendable, CaseIterable {
    case denoise, train
}

package struct ClientRights: Hashable, Sendable {
    package var publish: Bool
    package var denoise: Bool
    /// Higher goes first.
    package var priority: Int32
    /// Share of the workers' time among clients of the same priority; 1 is usual.
    package var weight: UInt32
    /// Jobs and bytes that the broker keeps for it at a time; 0: the broker's default.
    package var jobs: Int
    package var bytes: Int

    package init(
        publish: Bool = true, denoise: Bool = true, priority: Int32 = 0, weight: UInt32 = 1, jobs: Int = 0,
        bytes: Int = 0
    ) {
        self.publish = publish
        self.denoise = denoise
        self.priority = priority
        self.weight = weight
        self.jobs = jobs
        self.bytes = bytes
    }
}

/// What the broker's shell carries out, in order. Frames to send come numbered, as on the other side: see `LinkMachine`.
///
/// All `append`s of a round (the actions of every event of one poll) are committed together, and nothing that claims them leaves
/// before: see `CommitBarrier`.
package enum BrokerAction: Sendable {
    case append(JournalEntry)
    case send(Frames, to: ConnectionID)
    /// The connection's session is over: drop what waits for it.
    case drop(ConnectionID)
}

internal import Wire

internal import struct Foundation.Data

/// One end's session over a DEALER: what the client's and the worker's machine have in common.
///
/// Opening, the numbering of messages both ways, heartbeats, liveness, and when to try again. Its owner says what a message
/// means.
struct LinkSession: Sendable {
    private enum Phase {
        /// No socket yet. → greeting
        case idle
        /// HELLO went. → open (WELCOME), waiting (no answer in time, BYE)
        case greeting(until: Int64)
        /// → waiting (silence, a gap, BYE)
        case open(since: Int64)
        /// → greeting (the time has come and a fresh socket was opened)
        case waiting(until: Int64)
        /// A fresh socket was asked for. → greeting
        case reopening
        /// No session is wanted any more.
        case closed
    }

    /// What a message comes to.
    enum Arrival {
        /// Part of the opening, or of a session that is over.
        case nothing
        case reply(Frames)
        case welcome(WireWelcome)
        case message(WireControl.OneOf_Body, [[UInt8]])
        case lost(LinkLoss)
    }

    enum Turn {
        case nothing
        case lost(LinkLoss)
        case reconnect
        /// The broker did not let us in, or wants us gone: another may.
        case move
        /// It is time to say something.
        case beat
    }

    /// Whatever a broker says, in milliseconds: quicker, and its peers would spin; slower, and nobody would miss it, or sums that
    /// are made of it would overflow.
    private static let heartbeats: ClosedRange<Int64> = 50...3_600_000

    private let side: Side
    private let configuration: LinkConfiguration
    private var random: any RandomNumberGenerator & Sendable
    private var phase = Phase.idle
    private var sent: UInt64 = 0
    private var received: UInt64 = 0
    private var lastSent: Int64 = 0
    private var lastHeard: Int64 = 0
    private var heartbeat: Int64
    private var failures = 0
    /// Whether the next try is another broker's.
    private var isMoving = false

    init(side: Side, configuration: LinkConfiguration, random: any RandomNumberGenerator & Sendable) {
        self.side = side
        self.configuration = configuration
        self.random = random
        self.heartbeat = configuration.heartbeat
    }

    var isOpen: Bool {
        if case .open = phase { true } else { false }
    }

    mutating func opened(at now: Int64) -> Frames? {
        if case .closed = phase { return nil }
        phase = .greeting(until: now + configuration.answerTime)
        sent = 0
        received = 0
        return hello(challenge: Data(), at: now)
    }

    mutating func receive(_ frames: Frames, at now: Int64) -> Arrival {
        switch phase {
        case .idle, .waiting, .reopening, .closed: return .nothing
        case .greeting, .open: break
        }
        received += 1
        lastHeard = now
        if case .bye(let bye) = frames.control.body {
            return .lost(lose("the broker ended the session: \(bye.reason)", at: now))
        }
        guard frames.control.sequence == received else {
            return .lost(lose("a message of the broker was lost", at: now))
        }
        switch (phase, frames.control.body) {
        case (.greeting, .challenge(let challenge)):
            guard let hello = hello(challenge: challenge.nonce, at: now) else { return .nothing }
            return .reply(hello)
        case (.greeting, .welcome(let welcome)):
            phase = .open(since: now)
            let told = Int64(clamping: welcome.heartbeatMs)
            heartbeat =
                told <= 0
                ? configuration.heartbeat
                : min(max(told, Self.heartbeats.lowerBound), Self.heartbeats.upperBound)
                    * .millisecond
            return .welcome(welcome)
        case (.greeting, _): return .lost(lose("the broker answered HELLO with something else", at: now))
        case (.open, .ping):
            return number(.pong(WirePong()), at: now).map { .reply($0) } ?? .nothing
        case (.open, .some(let body)): return .message(body, frames.attachments)
        default: return .nothing
        }
    }

    mutating func receivedGarbage(_ error: WireError, at now: Int64) -> LinkLoss? {
        switch phase {
        case .greeting, .open: lose("the broker sent what is no message: \(error.message)", at: now)
        default: nil
        }
    }

    /// The next message of the session; nil: there is none.
    mutating func number(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = [], at now: Int64) -> Frames? {
        guard isOpen else { return nil }
        return numbered(body, attachments, at: now)
    }

    mutating func tick(at now: Int64) -> Turn {
        switch phase {
        case .greeting(let until) where now >= until:
            return .lost(lose("the broker does not answer", at: now))
        case .waiting(let until) where now >= until:
            phase = .reopening
            return isMoving ? .move : .reconnect
        case .open(let since):
            if now >= lastHeard + silence {
                return .lost(lose("nothing was heard of the broker for \(silence / .second) s", at: now))
            }
            if failures > 0, now - since >= configuration.longestRetry { failures = 0 }
            return now >= lastSent + heartbeat ? .beat : .nothing
        default: return .nothing
        }
    }

    var nextDeadline: Int64? {
        switch phase {
        case .greeting(let until), .waiting(let until): until
        case .open: min(lastHeard + silence, lastSent + heartbeat)
        case .idle, .reopening, .closed: nil
        }
    }

    /// - Returns: what is left to say.
    mutating func close(_ reason: String, at now: Int64) -> Frames? {
        var bye = WireBye()
        bye.reason = reason
        let frames = number(.bye(bye), at: now)
        phase = .closed
        return frames
    }

    /// Leaves a session that is sound, for another broker's.
    ///
    /// - Returns: what is left to say; nil when there is no session.
    mutating func move(_ reason: String, at now: Int64) -> (bye: Frames, loss: LinkLoss)? {
        var bye = WireBye()
        bye.reason = reason
        guard let frames = number(.bye(bye), at: now) else { return nil }
        let loss = lose(reason, at: now)
        isMoving = true
        return (frames, loss)
    }

    /// The heartbeat that the broker asked for.
    var beat: Int64 { heartbeat }

    private var silence: Int64 { heartbeat * configuration.missedHeartbeats }

    private mutating func hello(challenge: Data, at now: Int64) -> Frames? {
        let hello = WireHello(
            role: side == .client ? "client" : "worker", challenge: challenge, software: configuration.software)
        return numbered(.hello(hello), [], at: now)
    }

    private mutating func numbered(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]], at now: Int64) -> Frames {
        sent += 1
        lastSent = now
        var frames = Frames(body, attachments)
        frames.control.sequence = sent
        return frames
    }

    /// Between half and all of a pause that doubles with every failure, so that clients of a broker that was down do not
    /// come back in step.
    private mutating func lose(_ reason: String, at now: Int64) -> LinkLoss {
        // A broker that we had a session with knows our jobs.
        isMoving = !isOpen
        let pause = min(configuration.firstRetry << Int64(min(failures, 20)), configuration.longestRetry)
        failures += 1
        let wait = pause / 2 + Int64.random(in: 0...max(pause / 2, 1), using: &random)
        phase = .waiting(until: now + wait)
        return LinkLoss(reason: reason, retryIn: wait)
    }
}

/// Why there is no session now, and when the next is tried.
package struct LinkLoss: Hashable, Sendable {
    package let reason: String
    /// Nanoseconds.
    package let retryIn: Int64
}

package struct LinkConfiguration: Hashable, Sendable {
    /// For the broker's logs.
    package var software = "collafuse"
    /// Until WELCOME tells another, in nanoseconds like all that follow.
    package var heartbeat: Int64 = 2 * .second
    /// A broker that was not heard for so many heartbeats is gone.
    package var missedHeartbeats: Int64 = 4
    /// HELLO is to be answered by WELCOME within this.
    package var answerTime: Int64 = 5 * .second
    package var firstRetry: Int64 = 200 * .millisecond
    package var longestRetry: Int64 = 15 * .second
    /// Brokers that can be moved to, beside the one that there is a session with.
    package var alternatives = 0
    /// A client that has nothing under way visits a broker where copies of its jobs are left, after this; the pause doubles with every
    /// visit that finds nobody.
    package var firstVisit: Int64 = 5 * .second
    package var longestVisit: Int64 = 600 * .second

    package init() {}
}

import Foundation
import Testing
import Wire

@testable import Exchange

/// A client's or worker's machine on the bench; the test speaks for the broker.
struct LinkBench<Machine: LinkMachine> {
    var machine: Machine
    var now: Int64 = 0
    var sent: [Frames] = []
    var events: [Machine.Event] = []
    var reconnects = 0
    /// Of these, those to another broker.
    var moves = 0
    var closed = false
    private var number: UInt64 = 0

    init(_ machine: Machine) { self.machine = machine }

    var moment: Moment { Fixture.moment(now) }

    mutating func take(_ actions: [LinkAction<Machine.Event>]) {
        sent = []
        events = []
        for action in actions {
            switch action {
            case .send(let frames): sent.append(frames)
            case .event(let event): events.append(event)
            case .reconnect: reconnects += 1
            case .move:
                reconnects += 1
                moves += 1
            case .close: closed = true
            }
        }
    }

    mutating func open() {
        number = 0
        take(machine.opened(at: moment))
    }

    /// A fresh socket and the whole opening.
    mutating func welcome(credit: UInt32 = 4, heartbeatMs: UInt64 = 1000, by broker: BrokerID = Fixture.broker) {
        open()
        var challenge = WireChallenge()
        challenge.nonce = Data(repeating: 3, count: 16)
        say(.challenge(challenge))
        guard case .hello(let hello) = sent.first?.control.body, hello.challenge == challenge.nonce else {
            Issue.record("HELLO did not bring the nonce back")
            return
        }
        var welcome = WireWelcome()
        welcome.brokerID = Data(broker.bytes)
        welcome.bootEpoch = 1
        welcome.heartbeatMs = heartbeatMs
        welcome.credit = credit
        welcome.keyBundle = Data([1, 2, 3])
        say(.welcome(welcome))
    }

    mutating func say(_ body: WireControl.OneOf_Body, _ attachments: [[UInt8]] = []) {
        number += 1
        var frames = Frames(body, attachments)
        frames.control.sequence = number
        take(machine.receive(frames, at: moment))
    }

    mutating func skip() { number += 1 }

    mutating func command(_ command: Machine.Command) { take(machine.handle(command, at: moment)) }

    /// Lets time pass; keeps what was said and told on the way.
    mutating func wait(_ duration: Int64) {
        let end = now + duration
        var (allSent, allEvents): ([Frames], [Machine.Event]) = ([], [])
        while let due = machine.nextDeadline, due <= end {
            now = max(now, due)
            take(machine.tick(at: moment))
            allSent += sent
            allEvents += events
        }
        now = end
        (sent, events) = (allSent, allEvents)
    }

    var kinds: [String] { sent.map { $0.kind } }
}

extension Frames {
    /// The name of the message, for comparing.
    var kind: String {
        guard let body = control.body else { return "" }
        return "\(body)".prefix { $0 != "(" }.description
    }
}

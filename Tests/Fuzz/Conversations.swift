import Exchange
import Foundation
import Wire

/// What the broker and its peers are in every conversation: constants, so that an input means the same each time.
enum Scene {
    static let run: RunID = filled(7)
    static let poolKey: PoolKeyID = filled(8)
    static let trainKey: PoolKeyID = filled(9)
    static let broker: BrokerID = filled(1)
    static let client: ClientID = filled(2)
    static let stranger: ClientID = filled(3)
    static let worker: WorkerID = filled(4)
    static let nonce = Data(repeating: 5, count: 16)
    static let wall: Int64 = 1_800_000_000_000

    static func envelope(job number: UInt8, kind: WireJobKind = .denoise) -> Envelope {
        Envelope(
            client: client, job: filled(number), kind: kind, run: run,
            created: wall, expires: wall + 3_600_000, poolKey: kind == .publish ? trainKey : poolKey,
            clientEphemeralKey: Array(repeating: number, count: 32))
    }

    static func filled<Kind>(_ byte: UInt8) -> Identifier<Kind> {
        Identifier([UInt8](repeating: byte, count: Kind.length))!
    }
}

/// A conversation is a list of pieces. The first byte of a piece says who speaks, or that time passes; the next, how many of the
/// following pieces belong to the message as attachments; the rest is its control frame, in which the sequence is put right.
struct Turn {
    let speaker: UInt8
    let frames: Result<Frames, WireError>

    static func turns(_ input: [UInt8]) -> [Turn] {
        var turns: [Turn] = []
        var rest = pieces(input)[...]
        while let first = rest.popFirst(), first.count >= 2 {
            let attachments = Array(rest.prefix(Int(first[1] % 4)))
            rest = rest.dropFirst(attachments.count)
            let parts = [Array(first.dropFirst(2))] + attachments
            turns.append(Turn(speaker: first[0], frames: Result { () throws(WireError) in try Frames(parts: parts) }))
        }
        return turns
    }

    /// Between two turns: up to a day.
    var pause: Int64 { Int64(1) << (Int64(speaker) % 47) }
}

func fuzzBroker(_ input: [UInt8]) {
    var configuration = BrokerConfiguration()
    configuration.runs = [Scene.run]
    configuration.poolKeys = [
        Scene.poolKey: .init(role: .denoise, openUntil: .max), Scene.trainKey: .init(role: .train, openUntil: .max),
    ]
    var broker = BrokerCore(
        configuration: configuration, broker: Scene.broker, bootEpoch: 1, random: SplitMix64(seed: 1))
    let peers: [(role: String, principal: Principal)] = [
        ("client", .client(Scene.client, ClientRights())), ("client", .client(Scene.stranger, ClientRights())),
        ("worker", .worker(Scene.worker, roles: Set(WorkerRole.allCases))),
    ]
    var uptime: Int64 = 1
    var moment: Moment { Moment(uptime: uptime, wall: Scene.wall + uptime / .millisecond) }
    var sent = [UInt64](repeating: 0, count: peers.count)

    func connection(_ peer: Int) -> ConnectionID {
        ConnectionID(side: peer == 2 ? .worker : .client, number: UInt64(peer + 1))
    }
    func say(_ frames: Frames, _ peer: Int) -> [BrokerAction] {
        sent[peer] += 1
        var frames = frames
        frames.control.sequence = sent[peer]
        return broker.receive(frames, from: connection(peer), as: peers[peer].principal, at: moment)
    }
    func open(_ peer: Int) {
        sent[peer] = 0
        for action in say(Frames(.hello(WireHello(role: peers[peer].role))), peer) {
            guard case .send(let frames, _) = action, case .challenge(let challenge) = frames.control.body else {
                continue
            }
            _ = say(Frames(.hello(WireHello(role: peers[peer].role, challenge: challenge.nonce))), peer)
        }
    }

    for peer in peers.indices { open(peer) }
    for turn in Turn.turns(input) {
        let peer = Int(turn.speaker) % (peers.count + 1)
        var actions: [BrokerAction]
        if peer == peers.count {
            uptime += turn.pause
            actions = broker.tick(at: moment)
        } else {
            switch turn.frames {
            case .success(let frames): actions = say(frames, peer)
            case .failure(let error):
                actions = broker.receivedGarbage(
                    error, from: connection(peer), as: peers[peer].principal, at: moment)
            }
        }
        for case .drop(let dropped) in actions {
            guard let peer = peers.indices.first(where: { connection($0) == dropped }) else { continue }
            open(peer)
        }
        precondition(broker.nextDeadline.map { $0 >= 0 } ?? true)
    }
}

/// A client's and a worker's machine hear the same lies.
func fuzzPeers(_ input: [UInt8]) {
    var client = ClientCore(client: Scene.client, random: SplitMix64(seed: 1))
    var worker = WorkerCore(
        offer: .init(roles: [.denoise], slots: 4, run: Scene.run, poolKeys: [Scene.poolKey]),
        random: SplitMix64(seed: 2))
    var uptime: Int64 = 1
    var moment: Moment { Moment(uptime: uptime, wall: Scene.wall + uptime / .millisecond) }
    var said: UInt64 = 0

    func open() {
        said = 0
        _ = client.opened(at: moment)
        _ = worker.opened(at: moment)
        var challenge = WireChallenge()
        challenge.nonce = Scene.nonce
        _ = say(Frames(.challenge(challenge)))
        var welcome = WireWelcome()
        welcome.sessionID = Scene.nonce
        welcome.brokerID = Data(Scene.broker.bytes)
        welcome.bootEpoch = 1
        welcome.heartbeatMs = 2000
        welcome.credit = 4
        _ = say(Frames(.welcome(welcome)))
    }
    /// Whether somebody wants a new connection.
    func say(_ frames: Frames) -> Bool {
        said += 1
        var frames = frames
        frames.control.sequence = said
        let asked = endsSession(client.receive(frames, at: moment))
        return endsSession(worker.receive(frames, at: moment)) || asked
    }

    open()
    for number in UInt8(0)..<2 {
        _ = client.handle(.submit(Scene.envelope(job: number), sealed: [number]), at: moment)
    }
    for turn in Turn.turns(input) {
        var isOver = false
        if turn.speaker % 4 == 3 {
            uptime += turn.pause
            isOver = endsSession(client.tick(at: moment))
            isOver = endsSession(worker.tick(at: moment)) || isOver
        } else {
            switch turn.frames {
            case .success(let frames): isOver = say(frames)
            case .failure(let error):
                _ = client.receivedGarbage(error, at: moment)
                _ = worker.receivedGarbage(error, at: moment)
                isOver = true
            }
        }
        if isOver { open() }
        precondition((client.nextDeadline ?? 0) >= 0 && (worker.nextDeadline ?? 0) >= 0)
    }
}

private func endsSession<Event>(_ actions: [LinkAction<Event>]) -> Bool {
    actions.contains {
        switch $0 {
        case .reconnect, .move, .close: true
        case .send, .event: false
        }
    }
}

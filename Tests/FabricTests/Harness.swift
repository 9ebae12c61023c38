import Exchange
import Foundation
import Logging
import Sodium
import Synchronization
import Testing
import Wire
import ZeroMQ

@testable import Fabric

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

struct Keys {
    let identity: CurveIdentity

    init() throws {
        let pair = try X25519KeyPair.generate()
        identity = CurveIdentity(
            key: try #require(CurveKey(pair.publicKey)),
            secret: CurveSecret { use in pair.secret.withUnsafeBytes { use($0) } })
    }

    var key: CurveKey { identity.key }
}

/// Who is known to the hub under test; may change while it runs.
final class Directory: Sendable {
    private let known = Mutex<[CurveKey: Principal]>([:])

    subscript(key: CurveKey) -> Principal? {
        get { known.withLock { $0[key] } }
        set { known.withLock { $0[key] = newValue } }
    }

    func addClient() throws -> Keys {
        let keys = try Keys()
        self[keys.key] = .client(try #require(ClientID(keys.key.bytes.prefix(16))), ClientRights())
        return keys
    }

    func addWorker() throws -> Keys {
        let keys = try Keys()
        self[keys.key] = .worker(try #require(WorkerID(keys.key.bytes.prefix(16))), roles: [.denoise])
        return keys
    }
}

/// A hub on its own thread; `answer` says what to send for each event.
final class TestHub: Sendable {
    typealias Answer = @Sendable (HubEvent) -> [(Frames, ConnectionID)]
    let address: BrokerAddress
    let workerAddress: BrokerAddress
    let events = Mutex<[HubEvent]>([])
    private let over = Atomic<Bool>(false)
    private let ended = Atomic<Bool>(false)
    private let wakeUp: WakeUp

    /// - Parameter port: 0 for a free one.
    init(
        _ directory: Directory, keys: Keys, port: Int = 0, adjust: (inout HubSettings) -> Void = { _ in },
        answer: @escaping Answer
    ) throws {
        let endpoint = "tcp://127.0.0.1:\(port == 0 ? "*" : String(port))"
        var settings = HubSettings(clients: endpoint, workers: "tcp://127.0.0.1:*")
        adjust(&settings)
        let wakeUp = try WakeUp()
        self.wakeUp = wakeUp
        let opened = Mutex<Result<[Side: String], ZeroMQError>?>(nil)
        let isOpen = DispatchSemaphore(value: 0)
        let shared = Shared()
        LoopThread.start(named: "hub") { [settings] in
            do {
                let hub = try RouterHub(
                    context: Context(), settings: settings, secret: keys.identity.secret, wakeUp: wakeUp,
                    logger: quiet
                ) { directory[$0] }
                opened.withLock { $0 = .success(hub.endpoints) }
                isOpen.signal()
                while shared.owner() == nil { usleep(100) }
                while let owner = shared.owner(), !owner.over.load(ordering: .relaxed) {
                    try hub.wait(until: Moment.now().uptime + 20_000_000)
                    for event in try hub.take() {
                        owner.events.withLock { $0.append(event) }
                        for (frames, connection) in answer(event) { try hub.send(frames, to: connection) }
                    }
                }
                try hub.finish()
            } catch let error as ZeroMQError {
                opened.withLock { $0 = .failure(error) }
                isOpen.signal()
            } catch {
                Issue.record(error)
            }
            shared.owner()?.ended.store(true, ordering: .relaxed)
        }
        isOpen.wait()
        let endpoints = try #require(try opened.withLock { try $0?.get() })
        address = BrokerAddress(endpoint: endpoints[.client] ?? "", key: keys.key)
        workerAddress = BrokerAddress(endpoint: endpoints[.worker] ?? "", key: keys.key)
        shared.set(self)
    }

    func stop() {
        over.store(true, ordering: .relaxed)
        while !ended.load(ordering: .relaxed) { usleep(1000) }
    }

    private final class Shared: Sendable {
        private let hub = Mutex<TestHub?>(nil)
        func set(_ owner: TestHub) { hub.withLock { $0 = owner } }
        func owner() -> TestHub? { hub.withLock { $0 } }
    }
}

/// Says HELLO when a socket opens, sends what it is told to send, and tells everything it hears.
struct Parrot: LinkMachine {
    enum Event: Sendable {
        case opened
        case heard(Frames)
        case garbage(WireError)
        case ticked
    }
    enum Command: Sendable {
        case say(Frames)
        case reconnect, move
        case close
    }
    var nextDeadline: Int64?
    private var sequence: UInt64 = 0
    private var isOpen = false
    private var early: [Frames] = []

    mutating func opened(at now: Moment) -> [LinkAction<Event>] {
        sequence = 0
        isOpen = true
        defer { early = [] }
        return [.event(.opened), numbered(Frames(.hello(WireHello())))] + early.map { numbered($0) }
    }

    mutating func receive(_ frames: Frames, at now: Moment) -> [LinkAction<Event>] { [.event(.heard(frames))] }

    mutating func receivedGarbage(_ error: WireError, at now: Moment) -> [LinkAction<Event>] {
        [.event(.garbage(error))]
    }

    mutating func handle(_ command: Command, at now: Moment) -> [LinkAction<Event>] {
        switch command {
        case .say(let frames):
            if isOpen { return [numbered(frames)] }
            early.append(frames)
            return []
        case .reconnect: return [.reconnect]
        case .move: return [.move]
        case .close: return [.close]
        }
    }

    mutating func tick(at now: Moment) -> [LinkAction<Event>] {
        nextDeadline = nil
        return [.event(.ticked)]
    }

    private mutating func numbered(_ frames: Frames) -> LinkAction<Event> {
        sequence += 1
        var frames = frames
        frames.control.sequence = sequence
        return .send(frames)
    }
}

/// Everything a link tells, to be waited for.
final class Record<Event: Sendable>: Sendable {
    private let events = Mutex<[Event]>([])

    func add(_ event: Event) { events.withLock { $0.append(event) } }
    var all: [Event] { events.withLock { $0 } }
    func count(where condition: (Event) -> Bool) -> Int { all.count(where: condition) }

    /// Waits until as many events fit, for ten seconds at most.
    func wait(for count: Int = 1, where condition: @Sendable (Event) -> Bool) async throws -> Bool {
        for _ in 0..<2000 {
            if self.count(where: condition) >= count { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return false
    }
}

func submit(_ payload: [UInt8]) -> Frames { Frames(.submit(WireSubmit()), [[1, 2, 3], payload]) }

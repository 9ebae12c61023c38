internal import Exchange
internal import Wire

/// One history: the real machines of all roles in their shells, under a clock, a network and disks that exist only here. Same
/// seed, same history.
package final class Simulation {
    /// Indirect: what waits is moved about, and some of it is large.
    indirect enum Event {
        case toBroker(ConnectionID, Frames)
        case toNode(node: Int, port: Int, life: Int, socket: Int, ConnectionID, Frames)
        case unreachable(ConnectionID, life: Int)
        case tick(node: Int, port: Int)
        case tickBroker(Int, life: Int)
        case commit(Int, life: Int, isRetry: Bool)
        case endDrain(Int, life: Int)
        case engine(node: Int, life: Int)
        case storePublication(node: Int, life: Int, JobKey, Fence)
        case begin(node: Int)
        case publish(node: Int, life: Int, image: UInt32)
        case cancel(node: Int, life: Int, JobID)
        case acknowledge(node: Int, life: Int, JobID)
        case reseal(node: Int, life: Int, JobID)
        case start(node: Int)
        case startBroker(Int)
        case fault
        case flood
        case audit
    }

    package let settings: SimulationSettings
    let bug: PlantedBug?
    var random: SplitMix64
    /// What floods are drawn from.
    var floods: SplitMix64
    private(set) var now: Int64 = 0
    private var queue = EventQueue<Event>()
    var isQuiet = false
    /// Jobs that are begun so late are begun no more: where clients seldom have one, the quiet time would know no end.
    private var lastBegin = Int64.max

    private(set) var nodes: [Node] = []
    private(set) var clients: [ClientNode] = []
    private(set) var workers: [WorkerNode] = []
    private(set) var brokers: [BrokerNode] = []
    var connections: [ConnectionID: Connection] = [:]
    var connectionCount: UInt64 = 0
    let configuration: BrokerConfiguration
    var checker: HistoryChecker

    var faults: [Fault: Int] = [:]
    var hasLostBroker = false
    var surfaced = 0
    private(set) var events = 0
    /// Of all that happened, in its order.
    private(set) var fingerprint: UInt64 = 0xCBF2_9CE4_8422_2325
    private var recent = RecentEvents()

    /// - Parameter bug: for tests alone.
    package init(_ settings: SimulationSettings, bug: PlantedBug? = nil) {
        self.settings = settings
        self.bug = bug
        random = SplitMix64(seed: settings.seed)
        floods = SplitMix64(seed: ~settings.seed)
        configuration = Deployment.configuration(clients: settings.clients)
        checker = HistoryChecker(crashesAllowed: configuration.crashesAllowed)
        for index in 0..<settings.clients {
            clients.append(ClientNode(index: index, world: self, random: SplitMix64(seed: random.next())))
        }
        for number in 0..<settings.workers {
            // One trains: the run has one store.
            let roles: Set<WorkerRole> = number > 0 ? [.denoise] : settings.workers > 1 ? [.train] : [.denoise, .train]
            workers.append(
                WorkerNode(
                    index: settings.clients + number, roles: roles, world: self,
                    random: SplitMix64(seed: random.next())))
        }
        nodes = (clients as [Node]) + (workers as [Node])
        for place in 0..<settings.brokers {
            brokers.append(BrokerNode(place: place, world: self, random: SplitMix64(seed: random.next())))
        }
        for broker in brokers { broker.start() }
        // In any order.
        for node in nodes {
            node.isUp = false
            schedule(.start(node: node.index), at: random.milliseconds(0...3_000))
        }
        let first = max(10_000, settings.secondsPerJob > 12 ? Int(settings.secondsPerJob * 1_000) : 0)
        for client in clients { schedule(.begin(node: client.index), at: random.milliseconds(0...first)) }
        if !settings.faults.isEmpty { schedule(.fault, at: random.milliseconds(0...5_000)) }
        schedule(.audit, at: 30 * .second)
        scheduleFlood()
    }

    var moment: Moment { Moment(uptime: now, wall: Deployment.wall + now / .millisecond) }

    func schedule(_ event: Event, at time: Int64) { queue.add(event, at: max(time, now)) }

    func schedule(_ event: Event, in wait: Int64) { queue.add(event, at: now + wait) }

    // MARK: running

    /// Plays the history: the time with faults, then the quiet time until all is settled.
    package func run() -> SimulationReport {
        run(until: Int64(settings.hours * 3_600e9)) { false }
        isQuiet = true
        lastBegin = now + Self.lastBegins
        endFaults()
        let bound = now + Self.settlingTime
        // A look costs as much as there are clients, and is worth as many events.
        var checks = 0
        let often = max(64, clients.count)
        run(until: bound) {
            checks += 1
            return checks % often == 0 && isSettled
        }
        if checker.violations.isEmpty {
            for broker in brokers { broker.audit() }
            checker.settled(isLeftOver)
            for client in clients where !client.isSettled {
                checker.object(
                    "client \(client.id.short): not settled \(Self.settlingTime / .second) s after the last fault")
            }
        }
        return SimulationReport(
            settings: settings, violations: checker.violations, recent: checker.violations.isEmpty ? [] : recent.lines,
            virtualSeconds: Double(now) / 1e9, events: events, accepted: checker.accepted, surfaced: surfaced,
            deadLetters: checker.deadLetters, turnsCompared: checker.turnsCompared, faults: faults,
            fingerprint: fingerprint)
    }

    /// Within which, once nothing goes wrong any more, everything is settled.
    private static let settlingTime: Int64 = 20 * 60 * .second
    /// How long jobs are begun after the last fault.
    private static let lastBegins: Int64 = 24 * .second

    private var isSettled: Bool {
        brokers.allSatisfy { $0.core != nil || $0.isGone } && nodes.allSatisfy(\.isUp)
            && clients.allSatisfy(\.isSettled) && checker.isSettled(isLeftOver)
    }

    /// With one broker there are no copies.
    private func isLeftOver(_ key: JobKey) -> Bool {
        settings.brokers > 1 && client(key.client)?.isOver(key.job) ?? false
    }

    private func run(until time: Int64, or isOver: () -> Bool) {
        while let due = queue.nextTime, due <= time, checker.violations.isEmpty, let (_, event) = queue.take() {
            now = due
            if let later = standstill(of: event) {
                schedule(event, at: later)
                continue
            }
            events += 1
            recent.add(event, at: now)
            fingerprint = (fingerprint ^ UInt64(bitPattern: now) ^ UInt64(event.kind)) &* 0x100_0000_01B3
            handle(event)
            if isOver() { return }
        }
        if checker.violations.isEmpty { now = max(now, min(time, queue.nextTime ?? time)) }
    }

    /// When the process that the event is for goes on; nil: it does not stand still.
    private func standstill(of event: Event) -> Int64? {
        let until: Int64 =
            switch event {
            case .toBroker(let connection, _), .unreachable(let connection, _):
                // Brokers seldom stand still, and looking a connection up takes its time.
                brokers.contains { $0.pausedUntil > now }
                    ? connections[connection].map { brokers[$0.broker].pausedUntil } ?? 0 : 0
            case .tickBroker(let place, _), .commit(let place, _, _), .endDrain(let place, _):
                brokers[place].pausedUntil
            case .toNode(let node, _, _, _, _, _), .tick(let node, _), .engine(let node, _),
                .storePublication(let node, _, _, _),
                .publish(let node, _, _), .cancel(let node, _, _), .acknowledge(let node, _, _),
                .reseal(let node, _, _):
                nodes[node].pausedUntil
            case .begin, .start, .startBroker, .fault, .flood, .audit: 0
            }
        return until > now ? until : nil
    }

    private func handle(_ event: Event) {
        switch event {
        case .toBroker(let connection, let frames): deliver(frames, over: connection)
        case .toNode(let node, let port, let life, let socket, let connection, let frames):
            deliver(frames, over: connection, to: nodes[node], port, life: life, socket: socket)
        case .unreachable(let connection, let life):
            guard let place = connections[connection]?.broker, brokers[place].life == life else { return }
            brokers[place].unreachable(connection)
        case .tick(let node, let port):
            guard nodes[node].isUp, nodes[node].ports[port].tickDue <= now else { return }
            nodes[node].ports[port].tickDue = .max
            nodes[node].tick(port)
        case .tickBroker(let place, let life): brokers[place].tick(life: life)
        case .commit(let place, let life, let isRetry): brokers[place].commit(life: life, isRetry: isRetry)
        case .endDrain(let place, let life): brokers[place].endDrain(life: life)
        case .engine(let node, let life): worker(node, life)?.step()
        case .storePublication(let node, let life, let key, let fence): worker(node, life)?.storePublication(key, fence)
        case .begin(let node):
            guard now <= lastBegin else { return }
            if nodes[node].isUp, nodes[node].pausedUntil <= now { clients[node].begin() }
            if !isQuiet { schedule(.begin(node: node), at: now + random.around(seconds: settings.secondsPerJob)) }
        case .publish(let node, let life, let image): client(node, life)?.publish(image)
        case .cancel(let node, let life, let job): client(node, life)?.cancel(job)
        case .acknowledge(let node, let life, let job): client(node, life)?.acknowledge(job)
        case .reseal(let node, let life, let job): client(node, life)?.reseal(job)
        case .start(let node): start(nodes[node])
        case .startBroker(let place): brokers[place].start()
        case .fault: if !isQuiet { injectFault() }
        case .flood: flood()
        case .audit:
            for broker in brokers { broker.audit() }
            schedule(.audit, at: now + 30 * .second)
            if isQuiet { replayInnocent() }
        }
    }

    /// Jobs that all workers take at a time.
    var slots: Int { workers.reduce(0) { $0 + Int($1.slots) } }

    /// Each pair of clients is compared, which a multitude has too many of.
    var comparesTurns: Bool { clients.count <= Self.mostCompared }
    private static let mostCompared = 64

    /// Its place is in its id.
    func client(_ id: ClientID) -> ClientNode? {
        guard let place = Deployment.place(of: id), clients.indices.contains(place) else { return nil }
        return clients[place]
    }

    private func client(_ node: Int, _ life: Int) -> ClientNode? {
        nodes[node].isUp && nodes[node].life == life ? clients[node] : nil
    }

    private func worker(_ node: Int, _ life: Int) -> WorkerNode? {
        nodes[node].isUp && nodes[node].life == life ? workers[node - clients.count] : nil
    }

    /// A job that was under suspicion and met with three crashes that were none of its doing is given up, and rightly: the broker
    /// cannot know. The operator replays it, and its client, which may be at another broker by now, takes it up.
    private func replayInnocent() {
        for broker in brokers where broker.core != nil {
            let innocent = checker.innocent(at: broker.id)
            broker.retry(innocent)
            guard settings.brokers > 1 else { continue }
            for key in innocent { client(key.client)?.takeUp(key.job) }
        }
    }
}

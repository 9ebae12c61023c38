import Wire

@testable import Exchange

/// The real machines of all roles around a virtual clock and a bad network: messages are late, connections break with all
/// that is on them, single messages vanish, processes are killed and start again, engines hang. Same seed, same history.
struct World {
    struct Faults {
        /// Milliseconds that a job lives at most; nil: for longer than the history.
        var lifetime: Int?
        var cut = 0.004
        var loss = 0.001
        var brokerCrash = 0.0
        var workerCrash = 0.0
        var clientCrash = 0.0
        var hang = 0.0
        /// For results of one client, in bytes; nil: as much as it likes.
        var room: Int?
    }

    enum Event {
        case toBroker(link: Int, socket: Int, Frames)
        case toLink(link: Int, socket: Int, Frames)
        case tick(link: Int)
        case tickBroker
        case engine(worker: Int)
        case acknowledge(link: Int, JobID)
        case submit(client: Int)
        case startBroker
        case startLink(Int)
        case fault
    }

    struct Scheduled {
        let time: Int64
        let order: UInt64
        let event: Event
    }

    /// One process that has a DEALER.
    struct Link {
        var principal: Principal
        var isUp = true
        /// Grows with every socket that was opened.
        var socket = 0
        /// Under which number the broker knows the socket now; nil: not connected.
        var connection: ConnectionID?
        var lastToBroker: Int64 = 0
        var lastToLink: Int64 = 0
        var tickDue: Int64 = .max
    }

    var random: SplitMix64
    var faults: Faults
    var now: Int64 = 0
    var queue = Deadlines<(order: UInt64, event: Event)>()
    var events = 0

    var configuration: BrokerConfiguration
    var broker: BrokerCore?
    var bootEpoch: UInt64 = 1
    var brokerTick: Int64 = .max
    /// Of the brokers that were killed.
    var counters: [BrokerCounters] = []
    var journal = JournalChecker()
    var connections: UInt64 = 0
    var routes: [ConnectionID: Int] = [:]

    var links: [Link] = []
    var clients: [SimulatedClient] = []
    var workers: [SimulatedWorker] = []
    var failures: [String] = []

    init(seed: UInt64, clients clientCount: Int, jobs: Int, workers workerCount: Int, slots: UInt32, faults: Faults) {
        random = SplitMix64(seed: seed)
        self.faults = faults
        configuration = Fixture.configuration
        configuration.heartbeat = 1 * .second
        configuration.missedHeartbeats = 3
        configuration.lease = 5 * .second
        configuration.readoption = 3 * .second
        configuration.crashesAllowed = 1_000  // no job of this world is at fault
        configuration.resultWindow = 2
        configuration.credit = 3
        configuration.ageing = 2 * .second
        if let room = faults.room {
            configuration.limits.resultBytesPerClient = room
            configuration.limits.resultBytes = 2 * room
        }
        for number in 0..<clientCount {
            let id: ClientID = identifier(number + 1)
            links.append(
                Link(principal: .client(id, ClientRights(priority: Int32(number % 3), weight: UInt32(1 + number % 2)))))
            clients.append(SimulatedClient(id: id, toSubmit: jobs, random: &random))
        }
        for number in 0..<workerCount {
            let id: WorkerID = identifier(number + 1)
            links.append(Link(principal: .worker(id, roles: [.denoise, .train])))
            workers.append(SimulatedWorker(id: id, slots: slots, random: &random))
        }
        startBroker()
        for link in links.indices {
            open(link)
            if link < clientCount { schedule(.submit(client: link), in: delay(2_000)) }
        }
        for worker in workers.indices { schedule(.engine(worker: worker), in: delay(100)) }
        schedule(.fault, in: 100 * .millisecond)
    }

    // MARK: time

    mutating func schedule(_ event: Event, in wait: Int64) {
        events += 1
        queue.add((UInt64(events), event), due: now + wait)
    }

    mutating func delay(_ milliseconds: Int) -> Int64 { Int64(1 + random.below(milliseconds * 1000)) * 1000 }

    /// Runs until `condition` or `time`.
    mutating func run(until time: Int64, orUntil condition: (World) -> Bool = { _ in false }) {
        var steps = 0
        while let due = queue.next, due <= time, failures.isEmpty {
            now = due
            guard let (_, event) = queue.take(until: due) else { return }
            handle(event)
            steps += 1
            if steps % 32 == 0 {
                if let broker { failures += Invariants.violations(of: broker) }
                if condition(self) { return }
            }
        }
        now = max(now, time)
    }

    var moment: Moment { Fixture.moment(now) }

    var isSettled: Bool {
        guard let broker else { return false }
        return broker.jobs.count == 0 && clients.allSatisfy(\.isDone)
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .toBroker(let link, let socket, let frames): deliverToBroker(link, socket, frames)
        case .toLink(let link, let socket, let frames):
            guard links[link].isUp, links[link].socket == socket else { return }
            drive(link) { $0.receive(frames, at: $1) }
        case .tick(let link):
            guard links[link].isUp, links[link].tickDue <= now else { return }
            links[link].tickDue = .max
            drive(link) { $0.tick(at: $1) }
        case .tickBroker:
            guard brokerTick <= now, broker != nil else { return }
            brokerTick = .max
            let moment = moment
            carryOut(broker?.tick(at: moment) ?? [])
        case .engine(let worker): runEngine(worker)
        case .acknowledge(let link, let job):
            guard links[link].isUp else { return }
            drive(link) { $0.acknowledge(job, at: $1) }
        case .submit(let client):
            if links[client].isUp,
                let (envelope, sealed) = clients[client].nextJob(&random, faults.lifetime, at: moment)
            {
                drive(client) { $0.submit(envelope, sealed, at: $1) }
                if random.chance(0.05) {
                    clients[client].cancelled.insert(envelope.job)
                    drive(client) { $0.cancel(envelope.job, at: $1) }
                }
            }
            if clients[client].toSubmit > 0 { schedule(.submit(client: client), in: delay(1_500)) }
        case .startBroker: startBroker()
        case .startLink(let link): restart(link)
        case .fault: injectFault()
        }
    }

    // MARK: processes

    private mutating func startBroker() {
        broker = BrokerCore(
            configuration: configuration, broker: Fixture.broker, bootEpoch: bootEpoch, recovered: journal.entries,
            random: SplitMix64(seed: random.next()))
        bootEpoch += 1
        brokerTick = now
        schedule(.tickBroker, in: 0)
    }

    private mutating func open(_ link: Int) {
        links[link].socket += 1
        links[link].connection = nil
        drive(link) { $0.opened(at: $1) }
    }

    private mutating func restart(_ link: Int) {
        links[link].isUp = true
        if link < clients.count {
            clients[link].restart(&random)
        } else {
            workers[link - clients.count].restart(&random)
        }
        open(link)
        if link < clients.count {
            for (envelope, sealed) in clients[link].unfinished {
                drive(link) { $0.submit(envelope, sealed, at: $1) }
            }
        }
    }

    private mutating func kill(_ link: Int) {
        links[link].isUp = false
        links[link].socket += 1
        links[link].connection = nil
        links[link].tickDue = .max
        schedule(.startLink(link), in: delay(4_000))
    }

    private mutating func killBroker() {
        if let broker { counters.append(broker.counters) }
        broker = nil
        for link in links.indices { links[link].connection = nil }
        schedule(.startBroker, in: delay(5_000))
    }

    private mutating func injectFault() {
        schedule(.fault, in: 100 * .millisecond)
        for link in links.indices where links[link].isUp {
            if random.chance(faults.cut) { links[link].connection = nil }
            let crash = link < clients.count ? faults.clientCrash : faults.workerCrash
            if random.chance(crash) { kill(link) }
        }
        for worker in workers.indices where random.chance(faults.hang) {
            workers[worker].hangsUntil = now + delay(15_000)
        }
        if broker != nil, random.chance(faults.brokerCrash) { killBroker() }
    }

    // MARK: the network

    private mutating func deliverToBroker(_ link: Int, _ socket: Int, _ frames: Frames) {
        guard broker != nil, links[link].isUp, links[link].socket == socket, !random.chance(faults.loss) else { return }
        if links[link].connection == nil {
            // libzmq connects again by itself, and the ROUTER gives the peer a new routing id. What was queued may be lost.
            if random.chance(0.5) { return }
            connections += 1
            links[link].connection = ConnectionID(side: link < clients.count ? .client : .worker, number: connections)
            routes[links[link].connection!] = link
        }
        guard let connection = links[link].connection else { return }
        let (principal, moment) = (links[link].principal, moment)
        if case .workerResult = frames.control.body { journal.resultArrives() }
        carryOut(broker?.receive(frames, from: connection, as: principal, at: moment) ?? [])
    }

    /// Commits, then sends: a crash between the two loses the messages and not what they claim.
    private mutating func carryOut(_ actions: [BrokerAction]) {
        for case .append(let entry) in actions {
            if let violation = journal.append(entry) { failures.append("\(now): \(violation)") }
        }
        if random.chance(faults.brokerCrash) { return killBroker() }
        let moment = moment
        var unreachable: [ConnectionID] = []
        for action in actions {
            guard case .send(let frames, let connection) = action else { continue }
            if case .job(let job) = frames.control.body { broker?.left(job.job, over: connection, at: moment) }
            if case .accepted(let accepted) = frames.control.body, let job = JobID(accepted.jobID),
                !journal.hasAccepted(job)
            {
                failures.append("\(now): ACCEPTED for a job that is not stored")
            }
            guard let link = routes[connection], links[link].connection == connection else {
                if !unreachable.contains(connection) { unreachable.append(connection) }
                continue
            }
            if random.chance(faults.loss) { continue }
            links[link].lastToLink = max(links[link].lastToLink, now + delay(60))
            schedule(.toLink(link: link, socket: links[link].socket, frames), in: links[link].lastToLink - now)
        }
        for connection in unreachable where broker?.sessions[connection] != nil && random.chance(0.5) {
            carryOut(broker?.unreachable(connection, at: moment) ?? [])
        }
        if let due = broker?.nextDeadline, due < brokerTick {
            brokerTick = max(due, now)
            schedule(.tickBroker, in: brokerTick - now)
        }
    }

    mutating func send(_ frames: Frames, from link: Int) {
        links[link].lastToBroker = max(links[link].lastToBroker, now + delay(60))
        schedule(.toBroker(link: link, socket: links[link].socket, frames), in: links[link].lastToBroker - now)
    }
}

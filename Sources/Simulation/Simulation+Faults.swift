internal import Exchange
internal import Wire

extension Simulation {
    func injectFault() {
        sweepConnections()
        schedule(.fault, at: now + random.around(seconds: settings.secondsPerFault))
        let able = Fault.allCases.filter { fault in
            switch fault {
            case .powerLoss, .poison, .flood: false
            case .brokerLoss: settings.brokers > 1 && settings.faults.contains(fault) && !hasLostBroker
            case .drain: settings.brokers > 1 && settings.faults.contains(fault)
            default: settings.faults.contains(fault)
            }
        }
        guard !able.isEmpty else { return }
        let fault = able[random.below(able.count)]
        faults[fault, default: 0] += 1
        let node = nodes[random.below(nodes.count)]
        let worker = workers[random.below(workers.count)]
        let broker = brokers.count > 1 ? brokers[random.below(brokers.count)] : brokers[0]
        switch fault {
        case .brokerLoss:
            // Not at once: it shall have something to lose.
            hasLostBroker = random.chance(0.1)
            if hasLostBroker { broker.vanish() } else { faults[fault, default: 1] -= 1 }
        case .drain: broker.drain()
        case .brokerCrash: broker.crashPoint = BrokerNode.CrashPoint.allCases[random.below(4)]
        case .workerCrash: crash(worker)
        case .clientCrash: crash(clients[random.below(clients.count)])
        case .restart: restart(broker)
        case .pause: pause(node, broker)
        case .hang: worker.hangsUntil = now + random.milliseconds(1_000...30_000)
        case .handBack:
            if worker.isUp, worker.pausedUntil <= now { worker.handBack(random.chance(0.5) ? .busy : .outOfMemory) }
        case .cut: cut(node)
        case .loss: node.losesNext = true
        case .duplicate: cut(node, repeats: true)
        case .partition: node.partitionedUntil = now + random.milliseconds(500...40_000)
        case .failedSync: broker.failNextSync()
        case .fullDisk: broker.fillDisk(until: now + random.milliseconds(500...15_000))
        case .clock: broker.wallOffset = Int64(random.below(60_000)) - 30_000
        case .powerLoss, .poison, .flood: break
        }
    }

    /// Drawn by itself: without floods a seed has the history that it has with everything else alone.
    func scheduleFlood() {
        guard settings.faults.contains(.flood) else { return }
        schedule(.flood, in: floods.milliseconds(20_000...160_000))
    }

    /// Two, so that both have jobs waiting for a while, beside those of the others.
    func flood() {
        guard !isQuiet else { return }
        scheduleFlood()
        faults[.flood, default: 0] += 1
        let first = floods.below(clients.count)
        for client in Set([first, (first + 1 + floods.below(clients.count)) % clients.count]).sorted() {
            let node = clients[client], jobs = 15 + floods.below(25)
            if node.isUp, node.pausedUntil <= now { node.flood(jobs) }
        }
    }

    private func restart(_ broker: BrokerNode) {
        let choice = random.below(nodes.count + 1)
        if choice < nodes.count {
            let node = nodes[choice]
            guard node.isUp, node.pausedUntil <= now else { return }
            node.leave()
        } else {
            broker.leave()
            crash(broker)
        }
    }

    /// Longer than a lease at times.
    private func pause(_ node: Node, _ broker: BrokerNode) {
        if random.chance(0.2) {
            broker.pausedUntil = now + random.milliseconds(100...20_000)
        } else {
            node.pausedUntil = now + random.milliseconds(100...40_000)
        }
    }

    /// Whether this is the moment at which the process ends. A multitude has one trainer, and what it had when it crashed runs alone, one
    /// job after another: it would do nothing else.
    func takesCrash(_ node: Node) -> Bool {
        let share = min(1, 1e5 / Double(settings.clients))
        return !isQuiet && settings.faults.contains(.workerCrash) && random.chance(0.02 * share * share)
    }

    /// The process is gone, at once, and another is started after a while.
    func crash(_ node: Node) {
        guard node.isUp else { return }
        for port in node.ports where random.chance(0.5) {
            if let id = port.connection { connections[id]?.isDead = true }
        }
        stop(node)
    }

    func stop(_ node: Node) {
        node.isUp = false
        for port in node.ports.indices {
            node.ports[port].connection = nil
            node.ports[port].tickDue = .max
        }
        node.pausedUntil = 0
        schedule(.start(node: node.index), at: now + random.milliseconds(100...6_000))
    }

    func start(_ node: Node) {
        guard !node.isUp else { return }
        node.isUp = true
        node.life += 1
        for port in node.ports.indices {
            node.ports[port].socket += 1
            node.ports[port].connection = nil
            node.ports[port].isClosed = false
        }
        node.start()
    }

    func crash(_ broker: BrokerNode) {
        guard broker.core != nil else { return }
        broker.crash(losesPower: settings.faults.contains(.powerLoss) && random.chance(0.5))
        for node in nodes {
            for port in node.ports.indices {
                guard let id = node.ports[port].connection, let connection = connections[id],
                    connection.broker == broker.place, connection.brokerLife != nil
                else { continue }
                node.ports[port].connection = nil
            }
        }
        schedule(.startBroker(broker.place), at: now + random.milliseconds(200...8_000))
    }

    /// From now on nothing goes wrong.
    func endFaults() {
        for broker in brokers {
            broker.crashPoint = nil
            broker.wallOffset = 0
            broker.pausedUntil = min(broker.pausedUntil, now)
            broker.fullUntil = min(broker.fullUntil, now)
        }
        for node in nodes {
            node.losesNext = false
            node.pausedUntil = min(node.pausedUntil, now)
            node.partitionedUntil = min(node.partitionedUntil, now)
        }
        for worker in workers { worker.hangsUntil = min(worker.hangsUntil, now) }
    }
}

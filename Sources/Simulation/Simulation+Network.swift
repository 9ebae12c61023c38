internal import Exchange
internal import Wire

/// A TCP connection: what is sent over it comes in order, later, or not at all.
struct Connection {
    let node: Int
    let port: Int
    let socket: Int
    /// Place of the broker that it goes to.
    let broker: Int
    /// The life of it that it reached; nil: none yet.
    var brokerLife: Int?
    var lastUp: Int64 = 0
    var lastDown: Int64 = 0
    /// Nothing more comes through, not even what is on its way.
    var isDead = false
}

extension Simulation {
    /// Over the node's connection, or a new one.
    func send(_ frames: Frames, from node: Node, _ port: Int) {
        observe(frames, from: node)
        node.ports[port].lastMessage = frames
        if node.losesNext {
            node.losesNext = false
            return
        }
        let id = node.ports[port].connection ?? connect(node, port)
        transmit(frames, over: id, from: node)
    }

    private func connect(_ node: Node, _ port: Int) -> ConnectionID {
        connectionCount += 1
        let id = ConnectionID(side: node.index < clients.count ? .client : .worker, number: connectionCount)
        connections[id] = Connection(
            node: node.index, port: port, socket: node.ports[port].socket, broker: node.ports[port].broker)
        node.ports[port].connection = id
        return id
    }

    private func transmit(_ frames: Frames, over id: ConnectionID, from node: Node) {
        guard let place = connections.index(forKey: id) else { return }
        let due = max(connections.values[place].lastUp + 1, arrival(at: node))
        connections.values[place].lastUp = due
        schedule(.toBroker(id, frames), at: due)
    }

    /// Most take some milliseconds, some much longer; over a partition, until it is healed.
    private func arrival(at node: Node) -> Int64 {
        let delay = random.chance(0.02) ? random.milliseconds(50...1_500) : random.milliseconds(1...20)
        return max(now, node.partitionedUntil) + delay
    }

    func deliver(_ frames: Frames, over id: ConnectionID) {
        guard var connection = connections[id], !connection.isDead else { return }
        let node = nodes[connection.node], broker = brokers[connection.broker]
        guard broker.core != nil else {
            // libzmq tries on until there is somebody, with what waits for it.
            guard connection.brokerLife == nil, node.isUp, node.ports[connection.port].connection == id else { return }
            connection.lastUp = max(connection.lastUp, now + 300 * .millisecond)
            connections[id] = connection
            return schedule(.toBroker(id, frames), at: now + 300 * .millisecond)
        }
        if connection.brokerLife == nil {
            connection.brokerLife = broker.life
            connections[id] = connection
        }
        guard connection.brokerLife == broker.life else { return }
        broker.receive(frames, from: id, as: node.principal)
    }

    func send(_ frames: Frames, to id: ConnectionID) {
        guard let place = connections.index(forKey: id), !connections.values[place].isDead else {
            return noteUnreachable(id)
        }
        let connection = connections.values[place]
        let node = nodes[connection.node], port = node.ports[connection.port]
        guard node.isUp, port.connection == id, port.socket == connection.socket else { return noteUnreachable(id) }
        if node.losesNext {
            node.losesNext = false
            return
        }
        let due = max(connection.lastDown + 1, arrival(at: node))
        connections.values[place].lastDown = due
        schedule(
            .toNode(
                node: node.index, port: connection.port, life: node.life, socket: port.socket, id, frames),
            at: due)
    }

    /// The ROUTER may find out, or the silence will tell.
    private func noteUnreachable(_ id: ConnectionID) {
        guard random.chance(0.3) else { return }
        guard let place = connections[id]?.broker else { return }
        schedule(.unreachable(id, life: brokers[place].life), at: now)
    }

    func deliver(_ frames: Frames, over id: ConnectionID, to node: Node, _ port: Int, life: Int, socket: Int) {
        guard node.isUp, node.life == life, node.ports[port].socket == socket, connections[id]?.isDead == false
        else { return }
        node.receive(frames, port)
    }

    /// The connection breaks. What is on its way to the broker is lost, or comes all the same.
    ///
    /// - Parameter repeats: the last message comes again on the next.
    func cut(_ node: Node, repeats: Bool = false) {
        let port = node.ports.count > 1 ? random.below(node.ports.count) : 0
        guard let id = node.ports[port].connection else { return }
        connections[id]?.isDead = random.chance(0.5)
        node.ports[port].connection = nil
        guard repeats, let frames = node.ports[port].lastMessage else { return }
        transmit(frames, over: connect(node, port), from: node)
    }

    /// Forgets connections that nothing can come over any more.
    func sweepConnections() {
        guard connections.count > 8 * nodes.count * brokers.count else { return }
        let current = Set(nodes.flatMap { $0.ports.compactMap(\.connection) })
        connections = connections.filter { id, connection in
            current.contains(id)
                || (!connection.isDead && max(connection.lastUp, connection.lastDown) + 60 * .second > now)
        }
    }

    func client(behind id: ConnectionID) -> ClientID? {
        guard let connection = connections[id], connection.node < clients.count else { return nil }
        return clients[connection.node].id
    }

    /// As the roster has it.
    func rights(of client: ClientID) -> ClientRights? {
        guard case .client(client, let rights)? = self.client(client)?.principal else { return nil }
        return rights
    }

    /// What leaves a client is checked: a masked image leaves once.
    private func observe(_ frames: Frames, from node: Node) {
        guard case .submit = frames.control.body, let client = node as? ClientNode,
            let order = Order(frames.attachments[1]), let image = order.image
        else { return }
        checker.released(
            IngestCore.Key(client: client.id, publication: identifier(Int(image))), noise: order.noise)
    }
}

package import Foundation

extension Topology {
    /// Reads a file; `overrides` are "key.key=value" (see `Entry+Override.swift`).
    package init(contentsOf url: URL, overrides: [String] = []) throws(TopologyError) {
        try self.init(yaml: try Entry.text(of: url), file: url.relativePath, overrides: overrides)
    }

    /// `file` is for messages.
    package init(yaml: String, file: String, overrides: [String] = []) throws(TopologyError) {
        var root = try Entry(yaml: yaml, file: file)
        for override in overrides { try root.apply(override: override) }
        self = try fields(root, of: "the topology") { (top) throws(TopologyError) in
            let run = try Run(try top.require("run"))
            var names = NodeNames()
            let brokers = try Self.brokers(&top, &names)
            let workers = try top.require("workers").nodes("workers") { (entry, title) throws(TopologyError) in
                try Worker(entry, title: title, names: &names)
            }
            let limit = try top.limit()
            let clients = try top.require("clients").nodes("clients") { (entry, title) throws(TopologyError) in
                try Client(entry, title: title, run: run, limit: limit, names: &names)
            }
            let sample = try Sample(top.take("sample") ?? Entry(content: .mapping([]), place: top.place), run: run)
            let report = try Report(top.take("report") ?? Entry(content: .mapping([]), place: top.place), run: run)
            let topology = Topology(
                run: run,
                brokers: brokers,
                workers: workers, clients: clients, sample: sample, report: report,
                out: try top.text("out", default: "out/\(run.name)"))
            try topology.checkThatTasksHaveWorkers(place: top.place)
            return topology
        }
    }

    /// `broker`, or a list of several as `brokers`; without either, one with free ports.
    private static func brokers(
        _ top: inout Fields, _ names: inout NodeNames
    ) throws(TopologyError) -> [Broker] {
        let only = top.take("broker")
        guard let several = top.take("brokers") else {
            var nameless: NodeNames?
            return [
                try only.map { (entry) throws(TopologyError) in
                    let broker = try Broker(entry, title: "broker", names: &nameless)
                    var ports = TakenPorts()
                    try ports.take(broker, at: entry.place)
                    return broker
                } ?? .standard
            ]
        }
        if let only {
            throw TopologyError(
                .inconsistent, at: only.place,
                "'broker' stands for the only one: put it into the list of 'brokers', with a name")
        }
        var named: NodeNames? = names
        var ports = TakenPorts()
        let list = try several.nodes("brokers") { (entry, title) throws(TopologyError) in
            let broker = try Broker(entry, title: title, names: &named)
            try ports.take(broker, at: entry.place)
            return broker
        }
        names = named ?? names
        return list
    }

    /// A job that no worker of the topology serves would wait for ever.
    private func checkThatTasksHaveWorkers(place: String) throws(TopologyError) {
        for (task, role) in [(Client.Task.publish, Worker.Role.train), (.sample, .denoise)] {
            if let client = clients.first(where: { $0.tasks.contains(task) }),
                !workers.contains(where: { $0.role == role })
            {
                throw TopologyError(
                    .inconsistent, at: place,
                    "client '\(client.name)' wants to \(task.rawValue), and no worker has the role \(role.rawValue)")
            }
        }
    }
}

/// Names become folders and command-line words, and each belongs to one node.
struct NodeNames {
    private var taken: Set<String> = []

    mutating func take(_ name: String, at place: String) throws(TopologyError) {
        let allowed = Set("abcdefghijklmnopqrstuvwxyz0123456789-_")
        guard (1...40).contains(name.count), name.allSatisfy(allowed.contains),
            name.first?.isLetter == true || name.first?.isNumber == true
        else {
            throw TopologyError(
                .outOfRange, at: place,
                "'\(name)' cannot name a node: 1 to 40 small letters, digits, '-' and '_', beginning with a letter or digit"
            )
        }
        guard name != Topology.Broker.onlyName else {
            throw TopologyError(
                .inconsistent, at: place,
                "'\(name)' is what a topology's only broker is called: take another name, such as '\(name)-1'")
        }
        guard taken.insert(name).inserted else {
            throw TopologyError(.inconsistent, at: place, "another node is already called '\(name)'")
        }
    }
}

/// Ports of this machine that brokers of a topology listen at.
private struct TakenPorts {
    private var taken: [(endpoint: String, owner: String)] = []

    mutating func take(_ broker: Topology.Broker, at place: String) throws(TopologyError) {
        for (endpoint, side) in [(broker.clients, "clients"), (broker.workers, "workers")] {
            let owner = "'\(broker.name)' (\(side))"
            if let other = taken.first(where: { Self.collide($0.endpoint, endpoint) }) {
                throw TopologyError(
                    .inconsistent, at: place,
                    "\(owner) is to listen at \(endpoint), and so is \(other.owner): each needs a port of its own, or :*"
                )
            }
            taken.append((endpoint, owner))
        }
    }

    /// The same port of one address, or of all.
    private static func collide(_ one: String, _ other: String) -> Bool {
        let (one, other) = (parts(one), parts(other))
        guard one.port == other.port, one.port != "*" else { return false }
        return one.host == other.host || ["*", "0.0.0.0"].contains { $0 == one.host || $0 == other.host }
    }

    private static func parts(_ endpoint: String) -> (host: Substring, port: Substring) {
        let address = endpoint.dropFirst("tcp://".count)
        let colon = address.lastIndex(of: ":") ?? address.endIndex
        return (address[..<colon], address[colon...].dropFirst())
    }
}

extension Entry {
    func nodes<Value>(
        _ key: String, _ read: (Entry, _ title: String) throws(TopologyError) -> Value
    ) throws(TopologyError) -> [Value] {
        let list = try list(of: key)
        guard !list.isEmpty else {
            throw TopologyError(.outOfRange, at: place, "'\(key)' is empty: at least one is needed")
        }
        var values: [Value] = []
        for (index, entry) in list.enumerated() { values.append(try read(entry, "\(key)[\(index)]")) }
        return values
    }
}

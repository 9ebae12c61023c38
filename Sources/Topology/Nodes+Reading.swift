extension Topology.Broker {
    private static let anyPort = "tcp://127.0.0.1:*"
    static let onlyName = "broker"

    /// The one of a topology that says nothing of it.
    static let standard = Topology.Broker(name: onlyName, clients: anyPort, workers: anyPort, journal: .sqlite)

    /// - Parameter names: nil: it is the only one, and its name is given.
    init(_ entry: Entry, title: String, names: inout NodeNames?) throws(TopologyError) {
        self = try fields(entry, of: title) { (broker) throws(TopologyError) in
            var name = Self.onlyName
            if names != nil {
                name = try broker.text("name")
                try names?.take(name, at: broker.place)
            }
            return Topology.Broker(
                name: name,
                clients: try broker.endpoint("clients", default: Self.anyPort),
                workers: try broker.endpoint("workers", default: Self.anyPort),
                journal: try broker.choice("journal", default: .sqlite))
        }
    }
}

extension Fields {
    fileprivate mutating func endpoint(_ key: String, default fallback: String) throws(TopologyError) -> String {
        guard let entry = take(key) else { return fallback }
        let text = try entry.text(of: key)
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let portIsRight = parts.last.map { $0 == "*" || (UInt16($0) ?? 0) > 0 } ?? false
        guard text.hasPrefix("tcp://"), parts.count >= 3, portIsRight else {
            throw TopologyError(
                .outOfRange, at: entry.place,
                "'\(key)' is '\(text)': it must be tcp://ADDRESS:PORT, or :* for any free port")
        }
        return text
    }
}

extension Topology.Worker {
    init(_ entry: Entry, title: String, names: inout NodeNames) throws(TopologyError) {
        self = try fields(entry, of: title) { (worker) throws(TopologyError) in
            let name = try worker.text("name")
            try names.take(name, at: worker.place)
            let role: Role = try worker.choice("role")
            let threads = try worker.integer("threads", in: 1...1024, default: 1)
            let training = role == .train ? try Topology.Training(&worker, images: 40_000) : nil
            return Topology.Worker(name: name, role: role, threads: threads, training: training)
        }
    }
}

extension Topology.Training {
    /// The keys stand among those of the node.
    init(_ node: inout Fields, images: Int) throws(TopologyError) {
        self.images = try node.integer("images", in: 1...1_000_000_000, default: images)
        batch = try node.integer("batch", in: 1...65_536, default: 64)
        learningRate = try node.number("learning_rate", in: 1e-8...1, default: 2e-3)
        let minSNR = try node.number("min_snr", in: 0...1e6, default: 0)
        self.minSNR = minSNR == 0 ? nil : minSNR
        precision = try node.choice("precision", default: .single)
    }
}

extension Topology.Client {
    /// - Parameter limit: `limit_db` of clients that name none of their own.
    init(
        _ entry: Entry, title: String, run: Topology.Run, limit: Double?, names: inout NodeNames
    ) throws(TopologyError) {
        self = try fields(entry, of: title) { (client) throws(TopologyError) in
            let name = try client.text("name")
            try names.take(name, at: client.place)
            let release: Release = try client.choice("release", default: .once)
            let epochs = client.take("epochs")
            if let epochs, release != .fresh {
                throw TopologyError(
                    .inconsistent, at: epochs.place,
                    "'epochs' is how often an image is masked anew, and this client masks it once: write 'release: fresh' too"
                )
            }
            return Topology.Client(
                name: name,
                images: try client.text("images"),
                labels: try client.take("labels").map { (entry) throws(TopologyError) in
                    try Self.labels(entry, run: run)
                },
                cut: try client.integer("cut", in: 1...run.timesteps - 1, default: run.cut),
                release: release,
                epochs: try epochs.map { (entry) throws(TopologyError) in
                    try entry.integer(of: "epochs", in: 1...100_000)
                } ?? 1,
                limitDecibels: try client.limit() ?? limit,
                tasks: try client.take("do").map { (entry) throws(TopologyError) in try Self.tasks(entry) }
                    ?? Task.allCases,
                threads: try client.integer("threads", in: 1...1024, default: 1),
                head: try client.take("head").map { (entry) throws(TopologyError) in try Self.head(entry) }
                    ?? Topology.Training(
                        images: 12_000, batch: 64, learningRate: 2e-3, minSNR: nil, precision: .single))
        }
    }

    private static func labels(_ entry: Entry, run: Topology.Run) throws(TopologyError) -> [Int] {
        var numbers: [Int] = []
        for element in try entry.list(of: "labels") {
            let label = try element.text(of: "labels")
            guard let number = run.labels.firstIndex(of: label) else {
                throw TopologyError(
                    .outOfRange, at: element.place,
                    "the run has no label '\(label)'" + closest(to: label, among: run.labels))
            }
            guard !numbers.contains(number) else {
                throw TopologyError(.inconsistent, at: element.place, "the label '\(label)' is given twice")
            }
            numbers.append(number)
        }
        guard !numbers.isEmpty else {
            throw TopologyError(.outOfRange, at: entry.place, "'labels' is empty: leave it out to take all images")
        }
        return numbers
    }

    private static func tasks(_ entry: Entry) throws(TopologyError) -> [Task] {
        var tasks: [Task] = []
        for element in try entry.list(of: "do") { tasks.append(try element.choice(of: "do")) }
        if let sample = tasks.firstIndex(of: .sample), let publish = tasks.lastIndex(of: .publish), sample < publish {
            throw TopologyError(
                .inconsistent, at: entry.place,
                "'do' names 'sample' before 'publish': samples come from a backbone that is trained on what was published"
            )
        }
        return tasks
    }

    private static func head(_ entry: Entry) throws(TopologyError) -> Topology.Training {
        try fields(entry, of: "head") { (head) throws(TopologyError) in try Topology.Training(&head, images: 12_000) }
    }
}

extension Fields {
    /// `limit_db`: 60 dB is an image with nothing visible done to it.
    mutating func limit() throws(TopologyError) -> Double? {
        try take("limit_db").map { (entry) throws(TopologyError) in try entry.number(of: "limit_db", in: -60...60) }
    }
}

extension Topology.Sample {
    init(_ entry: Entry, run: Topology.Run) throws(TopologyError) {
        self = try fields(entry, of: "sample") { (sample) throws(TopologyError) in
            Topology.Sample(
                perLabel: try sample.integer("per_label", in: 0...1_000_000, default: 50),
                unseenPerLabel: try sample.integer("unseen_per_label", in: 0...1_000_000, default: 0),
                steps: try sample.integer("steps", in: 2...run.timesteps, default: min(50, run.timesteps)),
                sampler: try sample.choice("sampler", default: .ddim),
                guidance: try sample.number("guidance", in: 0...100, default: 1))
        }
    }
}

extension Topology.Report {
    init(_ entry: Entry, run: Topology.Run) throws(TopologyError) {
        self = try fields(entry, of: "report") { (report) throws(TopologyError) in
            var cuts: [Int] = []
            for element in try report.take("cuts").map({ (entry) throws(TopologyError) in try entry.list(of: "cuts") })
                ?? []
            {
                cuts.append(try element.integer(of: "cuts", in: 1...run.timesteps - 1))
            }
            return Topology.Report(cuts: cuts)
        }
    }
}

extension Topology.Run {
    init(_ entry: Entry) throws(TopologyError) {
        self = try fields(entry, of: "run") { (run) throws(TopologyError) in
            let namePlace = run.place
            let name = try run.text("name")
            var names = NodeNames()
            try names.take(name, at: namePlace)
            let timesteps = try run.integer("timesteps", in: 2...100_000, default: 1000)
            let schedule = try run.take("schedule").map { (entry) throws(TopologyError) in
                try Schedule(entry, timesteps: timesteps)
            }
            let image = try Shape(try run.require("image"))
            return Topology.Run(
                name: name, timesteps: timesteps, schedule: schedule ?? Schedule(kind: .cosine),
                offsetNoise: try run.number("offset_noise", in: 0...1, default: 0), image: image,
                labels: try run.take("labels").map { (entry) throws(TopologyError) in try Self.labels(entry) } ?? [],
                cut: try run.integer("cut", in: 1...timesteps - 1),
                backbone: try Backbone(try run.require("backbone"), image: image))
        }
    }

    private static func labels(_ entry: Entry) throws(TopologyError) -> [String] {
        var labels: [String] = []
        for element in try entry.list(of: "labels") {
            let label = try element.text(of: "labels")
            guard !label.isEmpty, !labels.contains(label) else {
                throw TopologyError(.inconsistent, at: element.place, "the label '\(label)' is empty or given twice")
            }
            labels.append(label)
        }
        return labels
    }
}

extension Topology.Run.Schedule {
    /// A kind's name alone, or a mapping with its numbers.
    init(_ entry: Entry, timesteps: Int) throws(TopologyError) {
        guard case .mapping = entry.content else {
            let kind: Kind = try entry.choice(of: "schedule")
            guard kind != .table else {
                throw TopologyError(
                    .missingKey, at: entry.place,
                    "a table of β is {kind: table, betas: [...]}, with one for each timestep")
            }
            self.init(kind: kind)
            return
        }
        self = try fields(entry, of: "schedule") { (fields) throws(TopologyError) in
            // Not by `require`, which would take 'end' for a misspelt 'kind'.
            guard let kind = fields.take("kind") else {
                throw TopologyError(.missingKey, at: fields.place, "'schedule' needs 'kind'")
            }
            var schedule = Self(kind: try kind.choice(of: "kind"))
            func ends(in range: ClosedRange<Double>) throws(TopologyError) {
                schedule.start = try fields.number("start", in: range)
                schedule.end = try fields.number("end", in: range)
            }
            switch schedule.kind {
            case .linear, .scaledLinear, .betaSigmoid: try ends(in: 0...1)
            case .cosine: schedule.offset = try fields.number("offset", in: 0...1)
            case .sigmoid:
                try ends(in: -100...100)
                schedule.tau = try fields.number("tau", in: 0.01...100, default: schedule.tau)
            case .table:
                let list = try fields.require("betas")
                schedule.betas = try list.list(of: "betas").map { (beta) throws(TopologyError) in
                    try beta.number(of: "betas", in: 0...1)
                }
                guard schedule.betas.count == timesteps else {
                    throw TopologyError(
                        .inconsistent, at: list.place,
                        "'betas' has \(schedule.betas.count) values, and the run has \(timesteps) timesteps")
                }
            }
            schedule.isRescaled = try fields.choice("rescaled", default: Switch.off) == .on
            return schedule
        }
        guard (start == nil) == (end == nil) else {
            throw TopologyError(.missingKey, at: entry.place, "'start' and 'end' go together: give both")
        }
    }
}

extension Topology.Run.Shape {
    init(_ entry: Entry) throws(TopologyError) {
        let list = try entry.list(of: "image")
        guard list.count == 3 else {
            throw TopologyError(.wrongType, at: entry.place, "'image' must be [channels, height, width]")
        }
        channels = try list[0].integer(of: "image (channels)", in: 1...64)
        height = try list[1].integer(of: "image (height)", in: 1...4096)
        width = try list[2].integer(of: "image (width)", in: 1...4096)
    }
}

extension Topology.Run.Backbone {
    init(_ entry: Entry, image: Topology.Run.Shape) throws(TopologyError) {
        self = try fields(entry, of: "backbone") { (backbone) throws(TopologyError) in
            let groups = try backbone.integer("groups", in: 1...64, default: 8)
            let headWidth = try backbone.integer("head_width", in: 1...512, default: 8)
            let list = try backbone.require("channels")
            var channels: [Int] = []
            for element in try list.list(of: "channels") {
                let count = try element.integer(of: "channels", in: 1...4096)
                guard count % groups == 0 else {
                    throw TopologyError(
                        .inconsistent, at: element.place,
                        "\(count) channels cannot be split into \(groups) groups ('groups')")
                }
                channels.append(count)
            }
            let halvings = channels.count - 1
            guard halvings >= 0, halvings < 8, image.height % (1 << halvings) == 0, image.width % (1 << halvings) == 0
            else {
                throw TopologyError(
                    .inconsistent, at: list.place,
                    "\(channels.count) levels halve the image \(halvings) times, and \(image.height)×\(image.width) cannot be halved so often"
                )
            }
            let attention = try Self.attention(backbone.take("attention"), channels: channels)
            // The middle of the network, below the last level, always attends.
            let attending = zip(channels, attention).filter(\.1).map(\.0) + channels.suffix(1)
            if let odd = attending.first(where: { $0 % headWidth != 0 }) {
                throw TopologyError(
                    .inconsistent, at: list.place,
                    "\(odd) channels cannot be split into heads of \(headWidth) ('head_width')")
            }
            return Topology.Run.Backbone(
                channels: channels, layers: try backbone.integer("layers", in: 1...8, default: 2), attention: attention,
                headWidth: headWidth, groups: groups,
                selfConditioning: try backbone.choice("self_conditioning", default: Switch.off) == .on)
        }
    }

    private static func attention(_ entry: Entry?, channels: [Int]) throws(TopologyError) -> [Bool] {
        guard let entry else { return channels.map { _ in false } }
        var attention: [Bool] = []
        for element in try entry.list(of: "attention") {
            switch try element.text(of: "attention") {
            case "true": attention.append(true)
            case "false": attention.append(false)
            default:
                throw TopologyError(
                    .wrongType, at: element.place, "'attention' holds \(element.kind): true or false a level")
            }
        }
        guard attention.count == channels.count else {
            throw TopologyError(
                .inconsistent, at: entry.place,
                "'attention' has \(attention.count) values, and 'channels' has \(channels.count)")
        }
        return attention
    }
}

private enum Switch: String, CaseIterable {
    case on = "true"
    case off = "false"
}

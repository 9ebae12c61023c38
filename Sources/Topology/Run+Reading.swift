extension Topology.Run {
    init(_ entry: Entry) throws(TopologyError) {
        self = try fields(entry, of: "run") { (run) throws(TopologyError) in
            let namePlace = run.place
            let name = try run.text("name")
            var names = NodeNames()
            try names.take(name, at: namePlace)
            let timesteps = try run.integer("timesteps", in: 2...100_000, default: 1000)
            let schedule: Schedule = try run.choice("schedule", default: .cosine)
            let image = try Shape(try run.require("image"))
            return Topology.Run(
                name: name, timesteps: timesteps, schedule: schedule,
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

extension Topology.Run.Shape {
    init(_ entry: Entry) throws(TopologyError) {
        let list = try entry.list(of: "image")
        guard list.count == 3 else {
            throw TopologyError(.wrongType, at: entry.place, "'image' must be [channels, height, width]")
        }
        channels = try list[0].integer(of: "image (channels)", in: 1...3)
        height = try list[1].integer(of: "image (height)", in: 1...4096)
        width = try list[2].integer(of: "image (width)", in: 1...4096)
        guard channels != 2 else {
            throw TopologyError(.outOfRange, at: entry.place, "an image has 1 or 3 channels, not 2")
        }
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

    private enum Switch: String, CaseIterable {
        case on = "true"
        case off = "false"
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

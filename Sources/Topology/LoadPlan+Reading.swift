package import Foundation

extension LoadPlan {
    /// Reads a file; `overrides` are "key.key=value".
    package init(contentsOf url: URL, overrides: [String] = []) throws(TopologyError) {
        try self.init(yaml: try Entry.text(of: url), file: url.relativePath, overrides: overrides)
    }

    /// `file` is for messages.
    package init(yaml: String, file: String, overrides: [String] = []) throws(TopologyError) {
        var root = try Entry(yaml: yaml, file: file)
        for override in overrides { try root.apply(override: override) }
        self = try fields(root, of: "the load plan") { (top) throws(TopologyError) in
            let stages = try top.require("stages").nodes("stages") { (entry, title) throws(TopologyError) in
                try Stage(entry, title: title)
            }
            let tenants = try top.require("tenants").nodes("tenants") { (entry, title) throws(TopologyError) in
                try Tenant(entry, title: title)
            }
            return LoadPlan(
                arrivals: try top.choice("arrivals", default: Arrivals.poisson), stages: stages, tenants: tenants,
                seed: UInt64(try top.integer("seed", in: 0...Int.max, default: 1)),
                timeout: try top.duration("timeout", default: .seconds(30)),
                drain: try top.duration("drain", default: .seconds(30)))
        }
        if let fault { throw TopologyError(.inconsistent, at: file, fault) }
    }
}

extension LoadPlan.Stage {
    /// `{for: 30s, rate: 100}`, `{for: 30s, from: 100, to: 500}` or the short `30s@100..500/s`.
    init(_ entry: Entry, title: String) throws(TopologyError) {
        if case .scalar(let text) = entry.content {
            guard let stage = Self(spelled: text) else {
                throw TopologyError(
                    .wrongType, at: entry.place, "'\(title)' is '\(text)': it must be like 30s@100 or 30s@100..500/s")
            }
            self = stage
            return
        }
        self = try fields(entry, of: title) { (fields) throws(TopologyError) in
            let duration = try fields.duration("for")
            let rates = 0...LoadPlan.largestRate
            if let rate = fields.take("rate") {
                let value = try rate.number(of: "rate", in: rates)
                return Self(duration: duration, from: value, to: value)
            }
            let from = try fields.require("from").number(of: "from", in: rates)
            return Self(duration: duration, from: from, to: try fields.require("to").number(of: "to", in: rates))
        }
    }
}

extension LoadPlan.Tenant {
    init(_ entry: Entry, title: String) throws(TopologyError) {
        self = try fields(entry, of: title) { (fields) throws(TopologyError) in
            let clients = try fields.integer("clients", in: 1...LoadPlan.largestClients)
            var tenant = Self(name: try fields.text("name"), clients: clients)
            let whole = 0.0...1
            tenant.share = try fields.number("share", in: 0...1e9, default: tenant.share)
            tenant.rate = try fields.take("rate").map { (entry) throws(TopologyError) in
                try entry.number(of: "rate", in: 0...LoadPlan.largestRate)
            }
            tenant.think = try fields.optionalDuration("think")
            tenant.publish = try fields.number("publish", in: whole, default: tenant.publish)
            if let images = fields.take("images") {
                tenant.images = try images.counts(of: "images", in: 1...LoadPlan.largestImages)
            }
            tenant.churn = try fields.optionalDuration("churn")
            tenant.slow = try fields.number("slow", in: whole, default: tenant.slow)
            tenant.slowPause = try fields.duration("slow_pause", default: tenant.slowPause)
            return tenant
        }
    }
}

extension Fields {
    mutating func duration(_ key: String, default fallback: Duration) throws(TopologyError) -> Duration {
        try optionalDuration(key) ?? fallback
    }

    mutating func duration(_ key: String) throws(TopologyError) -> Duration {
        try require(key).duration(of: key)
    }

    mutating func optionalDuration(_ key: String) throws(TopologyError) -> Duration? {
        try take(key).map { (entry) throws(TopologyError) in try entry.duration(of: key) }
    }
}

extension Entry {
    func duration(of key: String) throws(TopologyError) -> Duration {
        let text = try text(of: key)
        guard let duration = Duration(spelled: text) else {
            throw TopologyError(
                .wrongType, at: place, "'\(key)' is \(kind): it must be a time with its unit, such as 500ms, 30s or 2m")
        }
        return duration
    }

    /// A list of whole numbers, or one.
    fileprivate func counts(of key: String, in range: ClosedRange<Int>) throws(TopologyError) -> [Int] {
        guard case .list(let list) = content else { return [try integer(of: key, in: range)] }
        return try list.map { (entry) throws(TopologyError) in try entry.integer(of: key, in: range) }
    }
}

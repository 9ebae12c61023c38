internal import Foundation

/// What a load test does to a deployment: read from YAML, or made of options.
package struct LoadPlan: Hashable, Sendable {
    package enum Arrivals: String, CaseIterable, Sendable {
        /// As independent people come: gaps are exponential.
        case poisson
        case constant
    }

    /// A stretch of time with a rate that stays or moves in a straight line, in jobs a second of all tenants without a rate of their own.
    package struct Stage: Hashable, Sendable {
        package let duration: Duration
        package let from: Double
        package let to: Double

        package init(duration: Duration, from: Double, to: Double) {
            self.duration = duration
            self.from = from
            self.to = to
        }
    }

    /// Clients that behave alike.
    package struct Tenant: Hashable, Sendable {
        package var name: String
        package var clients: Int
        /// Its part of the stages' rate, beside those of the other tenants.
        package var share: Double
        /// Jobs a second of its own, whatever the stage; nil: its share of the stage's.
        package var rate: Double?
        /// Closed loop instead: a client sends its next job so long after its last result, on average.
        package var think: Duration?
        /// The part of jobs that publish; the others denoise.
        package var publish: Double
        /// Images in a job: one of these, drawn evenly.
        package var images: [Int]
        /// After which time, on average, a client's connection is dropped and opened anew; nil: never.
        package var churn: Duration?
        /// The part of clients that read slowly, and how long they look away after whatever they read.
        package var slow: Double
        package var slowPause: Duration

        package init(
            name: String, clients: Int, share: Double? = nil, rate: Double? = nil, think: Duration? = nil,
            publish: Double = 0.2, images: [Int] = [1], churn: Duration? = nil, slow: Double = 0,
            slowPause: Duration = .milliseconds(500)
        ) {
            self.name = name
            self.clients = clients
            self.share = share ?? Double(clients)
            self.rate = rate
            self.think = think
            self.publish = publish
            self.images = images
            self.churn = churn
            self.slow = slow
            self.slowPause = slowPause
        }
    }

    package var arrivals: Arrivals
    package var stages: [Stage]
    package var tenants: [Tenant]
    package var seed: UInt64
    /// A job without a result so long after it was due has timed out.
    package var timeout: Duration
    /// How long after the last stage results are waited for.
    package var drain: Duration

    /// - Throws: nothing here: `check` says what does not fit.
    package init(
        arrivals: Arrivals = .poisson, stages: [Stage], tenants: [Tenant], seed: UInt64 = 1,
        timeout: Duration = .seconds(30), drain: Duration = .seconds(30)
    ) {
        self.arrivals = arrivals
        self.stages = stages
        self.tenants = tenants
        self.seed = seed
        self.timeout = timeout
        self.drain = drain
    }

    package var clients: Int { tenants.reduce(0) { $0 + $1.clients } }
    package var duration: Duration { stages.reduce(.zero) { $0 + $1.duration } }

    package static let largestClients = 100_000
    package static let largestRate = 1e6
    package static let largestImages = 1024
    package static let longest = Duration.seconds(7 * 86_400)

    /// - Returns: what is wrong with it; nil: nothing.
    package var fault: String? {
        if stages.isEmpty { return "there is no stage: say how long and how many jobs a second, such as 30s@100" }
        if duration <= .zero || duration > Self.longest { return "the stages last between a moment and a week in all" }
        for stage in stages where !(0...Self.largestRate ~= stage.from && 0...Self.largestRate ~= stage.to) {
            return "a rate is 0 to \(Int(Self.largestRate)) jobs a second"
        }
        if tenants.isEmpty { return "there is no tenant" }
        if Set(tenants.map(\.name)).count != tenants.count { return "two tenants have one name" }
        if clients > Self.largestClients { return "there are \(clients) clients: \(Self.largestClients) at most" }
        for tenant in tenants { if let fault = tenant.fault { return "tenant '\(tenant.name)': \(fault)" } }
        if timeout <= .zero || drain < .zero { return "the time-out is above 0, and the drain not below" }
        return nil
    }
}

extension LoadPlan.Tenant {
    fileprivate var fault: String? {
        if clients < 1 { return "it needs a client" }
        if !(share >= 0 && share.isFinite) { return "its share is a number, 0 or above" }
        if rate.map({ !(0...LoadPlan.largestRate ~= $0) }) ?? false {
            return "its rate is 0 to \(Int(LoadPlan.largestRate)) jobs a second"
        }
        if rate != nil, think != nil { return "it has a rate or it thinks, not both" }
        if think.map({ $0 <= .zero }) ?? false { return "it thinks for more than no time" }
        if !(0...1 ~= publish) || !(0...1 ~= slow) { return "publish and slow are parts: 0 to 1" }
        if images.isEmpty || images.contains(where: { !(1...LoadPlan.largestImages ~= $0) }) {
            return "a job has 1 to \(LoadPlan.largestImages) images"
        }
        if churn.map({ $0 < .milliseconds(100) }) ?? false { return "a connection lives 100ms or longer" }
        if slowPause <= .zero || slowPause > .seconds(60) { return "a slow reader looks away for up to 60s" }
        return nil
    }
}

extension LoadPlan.Stage {
    /// Reads `30s@100`, `30s@100/s` and `30s@100..500/s`.
    package init?(spelled text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let duration = Duration(spelled: parts[0]) else { return nil }
        let rate = parts[1].hasSuffix("/s") ? String(parts[1].dropLast(2)) : parts[1]
        let ends = rate.components(separatedBy: "..").map { Double($0) }
        guard (1...2).contains(ends.count), let from = ends[0], let to = ends[ends.count - 1],
            from >= 0, to >= 0, from.isFinite, to.isFinite
        else { return nil }
        self.init(duration: duration, from: from, to: to)
    }
}

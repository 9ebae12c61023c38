internal import Exchange
internal import Topology
internal import Workbench

/// When which client's next job is due: the plan's rates, shared out over one driver's clients.
struct Timetable {
    /// Clients of one tenant here, and when their jobs are due; without a stream they think.
    private struct Source {
        let tenant: Int
        let clients: Range<Int>
        var stream: ArrivalStream?
        var nextClient: Int
    }

    /// A job to be made.
    struct Entry {
        let due: Int64
        let tenant: Int
        let client: Int
    }

    private let plan: LoadPlan
    private let place: Int
    private let drivers: Int
    private var sources: [Source] = []
    /// When the next job of every source is due, and the earliest of these.
    private var moments: [Int64] = []
    private(set) var next = Int64.max
    private var start: Int64?

    /// - Parameters:
    ///   - place: the driver's, among so many.
    init(_ plan: LoadPlan, place: Int, drivers: Int) {
        self.plan = plan
        self.place = place
        self.drivers = drivers
    }

    /// A tenant's clients that are here.
    mutating func add(_ clients: Range<Int>, of place: Int, using random: inout SplitMix64) {
        guard !clients.isEmpty else { return }
        let tenant = plan.tenants[place]
        let part = Double(clients.count) / Double(tenant.clients)
        let shares = plan.tenants.filter { $0.rate == nil && $0.think == nil }.reduce(0) { $0 + $1.share }
        var stream: ArrivalStream?
        if let rate = tenant.rate {
            let stage = LoadPlan.Stage(duration: plan.duration, from: rate, to: rate)
            stream = makeStream([stage], part, seed: random.next())
        } else if tenant.think == nil {
            stream = makeStream(plan.stages, shares > 0 ? part * tenant.share / shares : 0, seed: random.next())
        }
        sources.append(Source(tenant: place, clients: clients, stream: stream, nextClient: clients.lowerBound))
    }

    private func makeStream(_ stages: [LoadPlan.Stage], _ scale: Double, seed: UInt64) -> ArrivalStream {
        ArrivalStream(
            stages, scale: scale, arrivals: plan.arrivals, phase: (Double(place) + 0.5) / Double(drivers), seed: seed)
    }

    /// The first job may be due from this uptime on.
    mutating func begin(at start: Int64) {
        self.start = start
        moments = sources.indices.map { moment(of: $0) }
        next = moments.min() ?? .max
    }

    /// When each client that thinks sends its first job: spread over a whole pause, so that nobody begins in step.
    func firstThoughts(using random: inout SplitMix64) -> [(client: Int, after: Int64)] {
        var thoughts: [(client: Int, after: Int64)] = []
        for source in sources where source.stream == nil {
            let think = Double(plan.tenants[source.tenant].think?.nanoseconds ?? 0)
            for client in source.clients {
                thoughts.append((client, Int64(think * Double.random(in: 0..<1, using: &random))))
            }
        }
        return thoughts
    }

    /// Takes the entry that is due at `next`; nil: there is none, or it is due at `end` or later.
    mutating func take(before end: Int64, using random: inout SplitMix64) -> Entry? {
        let due = next
        guard due != .max, let source = moments.firstIndex(of: due) else { return nil }
        moments[source] = moment(of: source)
        next = moments.min() ?? .max
        guard due < end else { return nil }
        return Entry(due: due, tenant: sources[source].tenant, client: client(of: source, using: &random))
    }

    /// Of the source's next job; `.max`: there is none.
    private mutating func moment(of source: Int) -> Int64 {
        guard let start, let seconds = sources[source].stream?.next() else { return .max }
        return start + Int64(seconds * 1e9)
    }

    /// Constant arrivals take a tenant's clients in turn.
    private mutating func client(of source: Int, using random: inout SplitMix64) -> Int {
        let clients = sources[source].clients
        guard plan.arrivals == .constant else { return Int.random(in: clients, using: &random) }
        defer {
            let next = sources[source].nextClient + 1
            sources[source].nextClient = next < clients.upperBound ? next : clients.lowerBound
        }
        return sources[source].nextClient
    }
}

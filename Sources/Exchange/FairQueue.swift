/// The jobs of one lane that wait for a worker, shared fairly among clients.
///
/// The higher priority goes first. Within a priority it is deficit round-robin with the quantum let go to nothing: every
/// client has a clock that each of its jobs puts on by cost / weight, and the client whose clock is furthest behind is
/// served next. So there is no quantum to tune and no round that serves nobody; a choice costs O(log clients) whatever the
/// jobs cost. A client that had nothing waiting starts at the band's clock: it neither saves up nor owes for its pause.
///
/// A job is charged its ceiling when it is leased, and its measured cost replaces that when it is done (`correct`).
struct FairQueue: Sendable {
    private struct Flow: Sendable {
        var jobs = HandleQueue()
        var clock = 0.0
        var priority: Int32
        var weight: Double
    }

    private struct Band: Sendable {
        let priority: Int32
        /// Clients that have jobs waiting, by clock.
        var waiting = RankedHeap()
        /// Of the client that was served last.
        var clock = 0.0
    }

    private var flows: [Int: Flow] = [:]
    /// By falling priority: there are as many as the roster names.
    private var bands: [Band] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// `client` is any number that stands for it; `first`: before the jobs of the same client that wait already.
    mutating func push(_ handle: JobHandle, client: Int, priority: Int32, weight: UInt32, first: Bool = false) {
        if flows[client] == nil {
            flows[client] = Flow(clock: bands[band(priority)].clock, priority: priority, weight: Double(max(weight, 1)))
        } else {
            renewShare(of: client, priority: priority, weight: weight)
        }
        let band = band(priority)
        count += 1
        let floor = bands[band].clock
        var wasEmpty = false
        modify(client) { flow in
            wasEmpty = flow.jobs.isEmpty
            if first { flow.jobs.prepend(handle) } else { flow.jobs.append(handle) }
            if wasEmpty { flow.clock = max(flow.clock, floor) }
        }
        if wasEmpty { settle(client) }
    }

    /// The next job in fairness, charged `cost(job)` at once.
    mutating func pop(where wanted: (JobHandle) -> Bool, cost: (JobHandle) -> UInt64) -> JobHandle? {
        for band in bands.indices {
            while let (client, clock) = bands[band].waiting.first {
                guard let handle = flows[client]?.jobs.popFirst(where: wanted) else {
                    bands[band].waiting.remove(client)
                    continue
                }
                count -= 1
                bands[band].clock = clock
                advance(client, by: Double(cost(handle)))
                return handle
            }
        }
        return nil
    }

    /// Says that a waiting job is not `wanted` any more.
    mutating func removed(of client: Int, where wanted: (JobHandle) -> Bool) {
        guard flows[client] != nil else { return }
        count -= 1
        modify(client) { $0.jobs.removed(where: wanted) }
        settle(client)
    }

    /// Puts `actual` in the place of what was `charged`.
    mutating func correct(_ client: Int, charged: UInt64, actual: UInt64) {
        guard flows[client] != nil, charged != actual else { return }
        advance(client, by: Double(actual) - Double(charged))
    }

    /// The client's rights may have changed.
    mutating func renewShare(of client: Int, priority: Int32, weight: UInt32) {
        guard let old = flows[client] else { return }
        flows[client]?.weight = Double(max(weight, 1))
        guard old.priority != priority else { return }
        bands[band(old.priority)].waiting.remove(client)
        let band = band(priority)
        let clock = bands[band].clock
        modify(client) { flow in
            flow.priority = priority
            flow.clock = clock
        }
        settle(client)
    }

    private mutating func modify(_ client: Int, _ change: (inout Flow) -> Void) {
        guard let index = flows.index(forKey: client) else { return }
        change(&flows.values[index])
    }

    /// Never behind the band's clock: what was refunded late must not shut out the others.
    private mutating func advance(_ client: Int, by cost: Double) {
        guard let priority = flows[client]?.priority else { return }
        let floor = bands[band(priority)].clock
        modify(client) { $0.clock = max($0.clock + cost / $0.weight, floor) }
        settle(client)
    }

    private mutating func settle(_ client: Int) {
        guard let flow = flows[client] else { return }
        let band = band(flow.priority)
        if flow.jobs.isEmpty {
            bands[band].waiting.remove(client)
        } else {
            bands[band].waiting.set(client, rank: flow.clock)
        }
    }

    private mutating func band(_ priority: Int32) -> Int {
        if let index = bands.firstIndex(where: { $0.priority <= priority }) {
            if bands[index].priority == priority { return index }
            bands.insert(Band(priority: priority), at: index)
            return index
        }
        bands.append(Band(priority: priority))
        return bands.count - 1
    }
}

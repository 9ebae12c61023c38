/// The jobs of one role that wait for a worker, shared fairly among clients, whichever lanes they lie in.
///
/// Who is next, for a worker that serves some of the lanes:
///
/// - **Bands.** Clients of one priority are a band. The highest band goes first, but one that waits rises by a place for every
///   `ageing` since it was last served: the k-th band below the top has a turn at least every k·ageing, whatever comes above it.
/// - **Clients.** Within a band it is deficit round-robin with the quantum let go to nothing: every client has a clock that each
///   of its jobs puts on by cost / weight, and the client whose clock is furthest behind is served next. So there is no quantum
///   to tune and no round that serves nobody; a choice costs O(log clients) whatever the jobs cost.
/// - **Pauses.** A client that had nothing waiting, or was held, starts at the band's clock: it neither saves up nor owes for its pause.
/// - **Costs.** A job is charged what it will probably cost when it is leased, and what it did cost once that is measured
///   (`correct`). What is probable is the job's ceiling times the share of their ceilings that the client's jobs took of late.
///
/// The bound: of two clients of one band that both have jobs waiting all the time, over any stretch of it, what one was served
/// per weight exceeds what the other was by no more than (2·S + 2)·C / w. S: jobs that are leased at a time; C: the most that a
/// job costs or may; w: the lesser weight. `FairnessTests` holds it against that.
struct FairQueue: Sendable {
    private struct Flow: Sendable {
        /// By lane.
        var jobs: [Int: HandleQueue] = [:]
        var clock = 0.0
        var priority: Int32
        var weight: Double
        /// Not served for now: see `hold`.
        var isHeld = false
        /// Measured cost over ceiling, of late; nil: nothing was measured yet.
        var ratio: Double?

        var isEmpty: Bool { jobs.values.allSatisfy(\.isEmpty) }
    }

    private struct Band: Sendable {
        let priority: Int32
        /// Of the client that was served last; never goes back.
        var clock = 0.0
        /// By lane.
        var lines: [Int: Line] = [:]
    }

    /// A band's clients that have jobs waiting in one lane, by clock.
    private struct Line: Sendable {
        var waiting = RankedHeap()
        /// Uptime of the last turn of the band among this line's workers, or since when somebody waits.
        var since: Int64
    }

    /// Nanoseconds of waiting by which a band rises one place.
    private let ageing: Int64
    private var flows: [Int: Flow] = [:]
    /// By falling priority: there are as many as the roster names.
    private var bands: [Band] = []
    private var counts: [Int: Int] = [:]

    init(ageing: Int64) { self.ageing = max(ageing, 1) }

    /// Jobs that wait in a lane.
    func count(in lane: Int) -> Int { counts[lane, default: 0] }

    // MARK: coming and going

    /// - Parameters:
    ///   - client: any number that stands for it.
    ///   - first: before the jobs of the same client that wait there already.
    mutating func push(
        _ handle: JobHandle, lane: Int, client: Int, priority: Int32, weight: UInt32, first: Bool = false,
        at now: Int64
    ) {
        if flows[client] == nil {
            flows[client] = Flow(priority: priority, weight: Double(max(weight, 1)))
        } else {
            renewShare(of: client, priority: priority, weight: weight, at: now)
        }
        let floor = bands[band(priority)].clock
        counts[lane, default: 0] += 1
        modify(client) { flow in
            if flow.isEmpty { flow.clock = max(flow.clock, floor) }
            if first {
                flow.jobs[lane, default: HandleQueue()].prepend(handle)
            } else {
                flow.jobs[lane, default: HandleQueue()].append(handle)
            }
        }
        settle(client, at: now)
    }

    /// Whose job is next in fairness of these lanes.
    func nextClient(of lanes: [Int], at now: Int64) -> Int? {
        next(of: lanes, at: now).flatMap { bands[$0.band].lines[$0.lane]?.waiting.first?.id }
    }

    /// The next job in fairness of these lanes. The caller charges for it.
    mutating func pop(from lanes: [Int], at now: Int64, where wanted: (JobHandle) -> Bool) -> JobHandle? {
        while let (band, lane) = next(of: lanes, at: now),
            let (client, clock) = bands[band].lines[lane]?.waiting.first
        {
            var handle: JobHandle?
            modify(client) { flow in
                handle = flow.jobs[lane]?.popFirst(where: wanted)
                if handle == nil { flow.jobs[lane] = HandleQueue() }
            }
            bands[band].clock = max(bands[band].clock, clock)
            for lane in lanes { bands[band].lines[lane]?.since = now }
            settle(client, at: now)
            guard let handle else { continue }
            counts[lane, default: 0] -= 1
            return handle
        }
        return nil
    }

    /// Says that a waiting job is not `wanted` any more.
    mutating func removed(from lane: Int, of client: Int, at now: Int64, where wanted: (JobHandle) -> Bool) {
        guard flows[client] != nil else { return }
        counts[lane, default: 0] -= 1
        modify(client) { $0.jobs[lane]?.removed(where: wanted) }
        settle(client, at: now)
    }

    /// The client is not served until `resume`, whatever it has waiting.
    mutating func hold(_ client: Int, at now: Int64) {
        modify(client) { $0.isHeld = true }
        settle(client, at: now)
    }

    /// It goes on as after a pause.
    mutating func resume(_ client: Int, at now: Int64) {
        guard let flow = flows[client], flow.isHeld else { return }
        let floor = bands[band(flow.priority)].clock
        modify(client) { flow in
            flow.isHeld = false
            flow.clock = max(flow.clock, floor)
        }
        settle(client, at: now)
    }

    /// By which clients' suspects are ranked: the least goes first.
    func standing(of client: Int) -> (band: Int64, clock: Double) {
        flows[client].map { (-Int64($0.priority), $0.clock) } ?? (0, 0)
    }

    // MARK: costs

    /// Charges what a job that is leased now will probably cost.
    ///
    /// - Parameters:
    ///   - ceiling: that the client states, or the broker assumes.
    ///   - most: it can cost no more.
    /// - Returns: what was charged.
    mutating func charge(_ client: Int, ceiling: UInt64, most: UInt64, at now: Int64) -> UInt64 {
        guard let flow = flows[client] else { return 0 }
        let probable = Double(ceiling) * (flow.ratio ?? 1)
        let charged = probable < Double(most) ? UInt64(max(probable, 1)) : most
        advance(client, by: Double(charged), at: now)
        return charged
    }

    /// Puts what it did cost in the place of what was `charged`.
    ///
    /// - Parameter ceiling: as it was charged by; nil: the job was not done, and nothing is learned from it.
    mutating func correct(_ client: Int, charged: UInt64, actual: UInt64, ceiling: UInt64?, at now: Int64) {
        if let ceiling {
            let share = Double(actual) / Double(max(ceiling, 1))
            modify(client) { flow in flow.ratio = flow.ratio.map { $0 + (share - $0) * Self.gain } ?? share }
        }
        if charged != actual { advance(client, by: Double(actual) - Double(charged), at: now) }
    }

    /// How far one measurement moves the mean of those before it.
    private static let gain = 0.25

    /// The client's rights may have changed.
    mutating func renewShare(of client: Int, priority: Int32, weight: UInt32, at now: Int64) {
        guard let old = flows[client] else { return }
        flows[client]?.weight = Double(max(weight, 1))
        guard old.priority != priority else { return }
        let former = band(old.priority)
        for lane in old.jobs.keys { leave(former, lane, client) }
        let clock = bands[band(priority)].clock
        modify(client) { flow in
            flow.priority = priority
            flow.clock = clock
        }
        settle(client, at: now)
    }

    // MARK: whose turn

    /// The line whose turn it is: of the band that has risen furthest, and there the one with the client furthest behind.
    private func next(of lanes: [Int], at now: Int64) -> (band: Int, lane: Int)? {
        var best: (level: Int64, band: Int, lane: Int)?
        var above: Int64 = 0
        for band in bands.indices {
            var oldest = Int64.max
            var first: (clock: Double, lane: Int)?
            for lane in lanes {
                guard let line = bands[band].lines[lane], let rank = line.waiting.first?.rank else { continue }
                oldest = min(oldest, line.since)
                if rank < first?.clock ?? .infinity { first = (rank, lane) }
            }
            guard let first else { continue }
            // Of two that have risen equally far the lower has waited longer.
            let level = above - (now - oldest) / ageing
            if level <= best?.level ?? .max { best = (level, band, first.lane) }
            above += 1
        }
        return best.map { ($0.band, $0.lane) }
    }

    private mutating func modify(_ client: Int, _ change: (inout Flow) -> Void) {
        guard let index = flows.index(forKey: client) else { return }
        change(&flows.values[index])
    }

    private mutating func advance(_ client: Int, by cost: Double, at now: Int64) {
        modify(client) { $0.clock += cost / $0.weight }
        settle(client, at: now)
    }

    /// Puts the client where its clock belongs, in each lane where it has jobs.
    private mutating func settle(_ client: Int, at now: Int64) {
        guard let flow = flows[client] else { return }
        let band = band(flow.priority)
        for (lane, jobs) in flow.jobs {
            if jobs.isEmpty || flow.isHeld {
                leave(band, lane, client)
            } else if bands[band].lines[lane]?.waiting.rank(of: client) != flow.clock {
                bands[band].lines[lane, default: Line(since: now)].waiting.set(client, rank: flow.clock)
            }
            if jobs.isEmpty { modify(client) { $0.jobs[lane] = nil } }
        }
    }

    private mutating func leave(_ band: Int, _ lane: Int, _ client: Int) {
        bands[band].lines[lane]?.waiting.remove(client)
        if bands[band].lines[lane]?.waiting.isEmpty == true { bands[band].lines[lane] = nil }
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

/// The jobs of one group that have samples to be admitted, and whose turn it is.
///
/// - Priorities share the turns: one higher is worth twice the turns of the next, so a low one waits longer and never for ever.
/// - Within a priority every fourth turn, at least, is a *fair* one: all jobs, with a deadline or without, have theirs sample by sample,
///   so that a job of many does not shut out a small one.
/// - The others are for jobs in a hurry, the earliest deadline first. A deadline that is further away than `horizon` is no hurry yet.
///
/// A job that comes stands behind all others in the fair round, and none of those that had a turn, of either kind, stands further behind
/// than that. So a job that waits beside J others of its band has its turn, for its first sample and for each of the next, within 4·(2·J + 1)
/// of the band's, whoever comes after it and with whichever deadline; and of n bands with weights w = 2^priority each has a turn within
/// 2·Σw/w + n of the group's.
struct AdmissionQueue: Sendable {
    /// The jobs of one priority.
    private struct Band: Sendable {
        let priority: Int
        var turn = 0.0
        /// All jobs, by their place in the fair round.
        var fair = RankedHeap()
        /// Those with a deadline, by it.
        var dated = RankedHeap()
        /// Place of the job that had the last fair turn. None stands further than 2 behind it.
        var clock = 0.0
        /// Turns of those in a hurry since the last fair one.
        var streak = 0

        var isEmpty: Bool { fair.isEmpty }
        var stride: Double { AdmissionQueue.stride(priority) }

        func first(at now: Double) -> (id: Int, isFair: Bool)? {
            if streak < AdmissionQueue.longestStreak, let first = dated.first,
                first.rank - now <= AdmissionQueue.horizon
            {
                return (first.id, false)
            }
            return fair.first.map { ($0.id, true) }
        }
    }

    /// On the deadlines' clock: ten minutes.
    static let horizon = 600_000.0
    /// Turns in a row of those in a hurry.
    static let longestStreak = 3
    /// Priorities beyond it count as the last.
    static func band(of priority: Int32) -> Int { Int(min(max(priority, -8), 8)) }
    /// Turns of a priority are spaced by this.
    static func stride(_ priority: Int) -> Double { Double(sign: .plus, exponent: -priority, significand: 1) }

    /// By falling priority; at most one for each of −8…8.
    private var bands: [Band] = []
    /// Turn of the band that was served last: where a band that was empty begins.
    private var clock = 0.0

    var isEmpty: Bool { bands.allSatisfy(\.isEmpty) }

    mutating func add(_ job: Int, priority: Int32, deadline: Int64?) {
        let place = place(of: Self.band(of: priority))
        if bands[place].isEmpty { bands[place].turn = max(bands[place].turn, clock) }
        bands[place].fair.set(job, rank: bands[place].clock + 2)
        // In Double: a client may name any deadline.
        if let deadline { bands[place].dated.set(job, rank: Double(deadline)) }
    }

    mutating func remove(_ job: Int) {
        for place in bands.indices {
            bands[place].dated.remove(job)
            bands[place].fair.remove(job)
        }
    }

    /// Whose turn it is.
    ///
    /// - Parameter now: on the deadlines' clock.
    func first(at now: Int64) -> Int? { next.flatMap { bands[$0].first(at: Double(now))?.id } }

    /// The first job had its turn, with a sample of this width.
    ///
    /// - Parameter more: it has others that wait.
    mutating func serve(width: Int, more: Bool, at now: Int64) {
        guard let place = next, let (job, isFair) = bands[place].first(at: Double(now)) else { return }
        clock = bands[place].turn
        bands[place].turn += bands[place].stride * Double(width)
        if isFair {
            bands[place].streak = 0
            bands[place].clock = bands[place].fair.first?.rank ?? bands[place].clock
        } else {
            bands[place].streak += 1
        }
        if more {
            let stood = bands[place].fair.rank(of: job) ?? 0
            bands[place].fair.set(job, rank: max(stood, bands[place].clock + Double(width)))
        } else {
            bands[place].fair.remove(job)
            bands[place].dated.remove(job)
        }
    }

    /// The band with the least turn; of equal ones the higher priority.
    private var next: Int? {
        bands.indices.filter { !bands[$0].isEmpty }.min { bands[$0].turn < bands[$1].turn }
    }

    private mutating func place(of priority: Int) -> Int {
        let place = bands.firstIndex { $0.priority <= priority } ?? bands.count
        if place == bands.count || bands[place].priority != priority {
            bands.insert(Band(priority: priority), at: place)
        }
        return place
    }
}

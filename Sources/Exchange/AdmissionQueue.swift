/// The jobs of one group that have samples to be admitted, and whose turn it is.
///
/// - Priorities share the turns: one higher is worth twice the turns of the next, so a low one waits longer and never for ever.
/// - Within a priority, jobs with a deadline come first, the earliest before the others, but at most three times in a row while
///   jobs without one wait.
/// - Jobs without a deadline take turns sample by sample, so that a job of many does not shut out a small one.
///
/// A sample's turn is charged its width, 1 or 2. So of J jobs without a deadline in a band each has its first turn within 4·J of the
/// band's turns, and of n bands with weights w = 2^priority each has one within 2·Σw/w + n of the group's.
struct AdmissionQueue: Sendable {
    /// The jobs of one priority.
    private struct Band: Sendable {
        let priority: Int
        var turn = 0.0
        var dated = RankedHeap()
        var undated = RankedHeap()
        /// Of the job without a deadline that was served last: where a new one begins.
        var clock = 0.0
        /// Jobs with a deadline that were served since one without.
        var streak = 0

        var isEmpty: Bool { dated.isEmpty && undated.isEmpty }
        /// Turns are spaced by this.
        var stride: Double { Double(sign: .plus, exponent: -priority, significand: 1) }

        var first: (id: Int, isDated: Bool)? {
            if let first = dated.first, undated.isEmpty || streak < Self.longestStreak { return (first.id, true) }
            return undated.first.map { ($0.id, false) }
        }

        static let longestStreak = 3
    }

    /// By falling priority; at most one for each of −8…8.
    private var bands: [Band] = []
    /// Turn of the band that was served last: where a band that was empty begins.
    private var clock = 0.0

    var isEmpty: Bool { bands.allSatisfy(\.isEmpty) }

    mutating func add(_ job: Int, priority: Int32, deadline: Int64?) {
        let priority = Int(min(max(priority, -8), 8))
        let place = place(of: priority)
        if bands[place].isEmpty { bands[place].turn = max(bands[place].turn, clock) }
        if let deadline {
            bands[place].dated.set(job, rank: Double(deadline))
        } else {
            bands[place].undated.set(job, rank: bands[place].clock)
        }
    }

    mutating func remove(_ job: Int) {
        for place in bands.indices {
            bands[place].dated.remove(job)
            bands[place].undated.remove(job)
        }
    }

    /// Whose turn it is.
    var first: Int? { next.flatMap { bands[$0].first?.id } }

    /// The first job had its turn, with a sample of this width.
    ///
    /// - Parameter more: it has others that wait.
    mutating func serve(width: Int, more: Bool) {
        guard let place = next, let (job, isDated) = bands[place].first else { return }
        clock = bands[place].turn
        bands[place].turn += bands[place].stride * Double(width)
        if isDated {
            bands[place].streak = bands[place].undated.isEmpty ? 0 : bands[place].streak + 1
            if !more { bands[place].dated.remove(job) }
        } else {
            bands[place].streak = 0
            let turn = bands[place].undated.first?.rank ?? 0
            bands[place].clock = turn
            if more {
                bands[place].undated.set(job, rank: turn + Double(width))
            } else {
                bands[place].undated.remove(job)
            }
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

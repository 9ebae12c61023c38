/// Which group has the next pass: groups share passes as the jobs of one group share its slots.
///
/// A group counts by those of its jobs that have the highest priority, since all of them would take part in its pass.
///
/// - Priorities share the passes: one higher is worth twice those of the next. Of n priorities with weights w = 2^priority each has a
///   pass within 2·Σw/w + n.
/// - Of one priority, every fourth pass, at least, is of the group whose last one is longest ago. The others are for groups in a hurry,
///   the earliest deadline first; a deadline that is further away than `AdmissionQueue.horizon` is no hurry yet.
///
/// So of G groups of one priority each has a pass within 4·G of the priority's, whoever comes and with whichever deadline.
struct GroupTurns: Sendable {
    typealias Group = StepScheduler.GroupKey

    /// A group that has something to do, as its jobs of the highest priority stand.
    struct Standing: Sendable {
        let group: Group
        let priority: Int32
        /// The earliest; nil: no matter when.
        let deadline: Int64?
    }

    private struct Band: Sendable {
        var turn = 0.0
        /// Passes of groups in a hurry since the last other one.
        var streak = 0
    }

    /// By priority, in −8…8. They stay when nobody is in them: who comes again is not ahead of those who stayed.
    private var bands: [Int: Band] = [:]
    /// Turn of the band that was served last: where a new one begins.
    private var clock = 0.0
    /// When a group had its last pass, or came, counted in such events.
    private var served: [Group: Int] = [:]
    private var events = 0

    mutating func add(_ group: Group) { stamp(group) }
    mutating func remove(_ group: Group) { served[group] = nil }

    private mutating func stamp(_ group: Group) {
        events += 1
        served[group] = events
    }

    /// Takes the next pass for one of them.
    ///
    /// - Parameter now: on the deadlines' clock.
    /// - Returns: nil for none.
    mutating func take(among standings: [Standing], at now: Int64) -> Group? {
        let present = Dictionary(grouping: standings) { AdmissionQueue.band(of: $0.priority) }
        // A band that nobody was in does not make up for it.
        let turns = present.keys.map { (priority: $0, turn: max(bands[$0]?.turn ?? 0, clock)) }
        guard let next = turns.min(by: { ($0.turn, -$0.priority) < ($1.turn, -$1.priority) }),
            let groups = present[next.priority]
        else { return nil }
        var band = bands[next.priority] ?? Band()
        clock = next.turn
        band.turn = next.turn + AdmissionQueue.stride(next.priority)
        let hurried = groups.filter { $0.deadline.map { Double($0) - Double(now) <= AdmissionQueue.horizon } ?? false }
            .min { ($0.deadline ?? .max, served[$0.group] ?? 0) < ($1.deadline ?? .max, served[$1.group] ?? 0) }
        let first: Standing?
        if let hurried, band.streak < AdmissionQueue.longestStreak {
            first = hurried
            band.streak += 1
        } else {
            first = groups.min { served[$0.group] ?? 0 < served[$1.group] ?? 0 }
            band.streak = 0
        }
        bands[next.priority] = band
        if let group = first?.group { stamp(group) }
        return first?.group
    }
}

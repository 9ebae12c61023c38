internal import DequeModule

/// Which samples share the next forward pass: continuous batching of denoising, step by step.
///
///     while let iteration = scheduler.next() {
///         … one forward pass over iteration.slots, each at its own timestep …
///         for done in scheduler.advance().completed { … }
///     }
///
/// One iteration is one forward pass of one group (samples of the same model and shape). Slots may stand at different places
/// of ways of different lengths; each sample makes its own passes, every one once. At most `capacity` samples share a pass, a guided one
/// counting twice, since it is run with and without its label. One sample is run in any case, whatever the capacity was narrowed to.
///
/// - Groups that have something to do share the passes by the priorities and deadlines of their jobs: see `GroupTurns`. Of G groups and
///   n priorities with weights w = 2^priority each group has a pass within P = 4·G·(2·Σw/w + n), w being that of its highest job.
/// - Within a group, jobs with samples that wait take turns by priority and deadline: see `AdmissionQueue`, which also says how long
///   one can wait for its turn. With samples of L passes at most, a turn comes every P·L passes or sooner.
/// - Who is next and does not fit waits for room rather than being overtaken, so guided samples are not starved.
/// - A job that must run alone starts when all before it are through, and those after it wait for it.
///
/// Tensors, prompts and solvers belong to the caller, which keys them by `SampleID`.
package struct StepScheduler: Sendable {
    private struct Job: Sendable {
        let group: GroupKey
        let samples: [Sample]
        let priority: Int32
        let deadline: Int64?
        let alone: Bool
        /// The first that was not admitted; those that came through already are passed over.
        var next = 0
        var unfinished: Int
        var passesDone: Int
        let passes: Int

        mutating func passOver() {
            while next < samples.count, samples[next].isThrough { next += 1 }
        }
    }

    private struct Resident: Sendable {
        let id: SampleID
        let sample: Sample
        var passesDone: Int
    }

    private struct Group: Sendable {
        /// Those whose step is longest ago first.
        var residents: [Resident] = []
        var width = 0
        var waiting = AdmissionQueue()
        /// All its jobs, those that wait and those that run.
        var jobs: Set<Int> = []

        var isEmpty: Bool { residents.isEmpty && waiting.isEmpty }
    }

    /// A pass that was handed out and not yet advanced: the first residents of a group.
    private struct Pass: Sendable {
        let group: GroupKey
        var count: Int
    }

    package private(set) var capacity: Int
    private let widest: Int
    /// On the deadlines' clock: jobs whose deadlines are near are in a hurry.
    package var now: Int64 = 0
    private var jobs: [Int: Job] = [:]
    private var tickets = 0
    private var groups: [GroupKey: Group] = [:]
    private var turns = GroupTurns()
    /// A job that must run alone and is not running yet, and all that came after it.
    private var backlog: Deque<Ticket> = []
    /// Jobs that take part: not in the backlog.
    private var active = 0
    private var alone: Ticket?
    private var pass: Pass?

    /// - Parameter capacity: the widest forward pass, in network inputs.
    package init(capacity: Int) {
        precondition(capacity > 0)
        self.capacity = capacity
        widest = capacity
    }

    package var isIdle: Bool { jobs.isEmpty }
    /// Whether passes are narrower than at the start.
    package var isNarrowed: Bool { capacity < widest }

    /// - Parameters:
    ///   - deadline: when all its samples are wanted, on the clock that `hopeless` is told; nil: no matter when.
    ///   - alone: no sample of another job is run while one of this is under way.
    /// - Throws: `badSteps` for a sample without a pass or beyond its last, or if there is none that has one to go; `tooWide` for a
    ///   guided sample where two inputs do not fit.
    package mutating func add(
        _ samples: [Sample], group: GroupKey, priority: Int32 = 0, deadline: Int64? = nil, alone: Bool = false
    ) throws(ExchangeError) -> Ticket {
        for sample in samples {
            guard sample.passes >= 1, sample.passesDone >= 0, sample.passesDone <= sample.passes else {
                throw ExchangeError(.badSteps, "a sample takes at least one step and stands in front of one of them")
            }
            guard sample.width <= widest else {
                throw ExchangeError(
                    .tooWide, "a guided sample needs two network inputs and this worker runs one at a time")
            }
        }
        guard !samples.allSatisfy(\.isThrough) else {
            throw ExchangeError(.badSteps, "a job has at least one sample that has a step to go")
        }
        tickets += 1
        let ticket = Ticket(number: tickets)
        var job = Job(
            group: group, samples: samples, priority: priority, deadline: deadline, alone: alone,
            unfinished: samples.count(where: { !$0.isThrough }), passesDone: samples.reduce(0) { $0 + $1.passesDone },
            passes: samples.reduce(0) { $0 + $1.passes })
        job.passOver()
        jobs[ticket.number] = job
        backlog.append(ticket)
        promote()
        return ticket
    }

    /// Ends a job that was cancelled or one of whose samples failed. Takes effect with the next iteration; of a pass that is
    /// under way its samples are left out. Others are not touched.
    package mutating func cancel(_ ticket: Ticket) {
        guard let job = jobs.removeValue(forKey: ticket.number) else { return }
        if let place = backlog.firstIndex(of: ticket) {
            backlog.remove(at: place)
        } else {
            active -= 1
            if alone == ticket { alone = nil }
            if pass?.group == job.group, let count = pass?.count, let group = groups[job.group] {
                pass?.count -= group.residents.prefix(count).count { $0.id.ticket == ticket }
            }
            modify(job.group) { group in
                group.jobs.remove(ticket.number)
                group.waiting.remove(ticket.number)
                group.residents.removeAll { $0.id.ticket == ticket }
                group.width = group.residents.reduce(0) { $0 + $1.sample.width }
            }
            tidy(job.group)
        }
        promote()
    }

    /// The next forward pass; nil: nothing to do. The one before must have been advanced or given up.
    package mutating func next() -> Iteration? {
        precondition(pass == nil, "the iteration before was not advanced")
        guard let key = turns.take(among: groups.map(standing), at: now) else { return nil }
        admit(to: key)
        guard let group = groups[key] else { return nil }
        var width = 0
        // All of them, unless the capacity was narrowed while they ran.
        let running = group.residents.prefix { resident in
            defer { width += resident.sample.width }
            return width == 0 || width + resident.sample.width <= capacity
        }
        pass = Pass(group: key, count: running.count)
        return Iteration(
            group: key,
            slots: running.map { resident in
                Slot(
                    sample: resident.id, pass: resident.passesDone, guided: resident.sample.guided,
                    isLast: resident.passesDone + 1 == resident.sample.passes)
            })
    }

    /// The pass was run: its samples are one pass further, and those that reached their cut leave.
    package mutating func advance() -> Advance {
        var result = Advance(retired: [], completed: [])
        guard let done = pass else { return result }
        pass = nil
        guard var group = groups.removeValue(forKey: done.group) else { return result }
        var staying = Array(group.residents.dropFirst(done.count))
        staying.reserveCapacity(group.residents.count)
        for var resident in group.residents.prefix(done.count) {
            resident.passesDone += 1
            let ticket = resident.id.ticket
            jobs[ticket.number]?.passesDone += 1
            guard resident.passesDone == resident.sample.passes else {
                staying.append(resident)
                continue
            }
            result.retired.append(resident.id)
            group.width -= resident.sample.width
            jobs[ticket.number]?.unfinished -= 1
            if jobs[ticket.number]?.unfinished == 0 {
                result.completed.append(ticket)
                group.jobs.remove(ticket.number)
                jobs[ticket.number] = nil
                active -= 1
                if alone == ticket { alone = nil }
            }
        }
        group.residents = staying
        groups[done.group] = group
        tidy(done.group)
        promote()
        return result
    }

    /// The pass was not run: its samples stand where they stood.
    package mutating func giveUp() { pass = nil }

    /// Passes are no wider than this from now on, or than one sample is. Samples that were admitted to a wider one go on, a part of them
    /// at a time.
    package mutating func narrow(to width: Int) {
        precondition(pass == nil, "a pass is under way")
        capacity = min(capacity, max(1, width))
    }

    /// Passes may be twice as wide again, as wide as at the start at most.
    package mutating func widen() {
        precondition(pass == nil, "a pass is under way")
        capacity = min(2 * capacity, widest)
    }

    /// Passes done and to do over all samples of the job; nil: it is over.
    package func progress(of ticket: Ticket) -> (done: Int, total: Int)? {
        jobs[ticket.number].map { ($0.passesDone, $0.passes) }
    }

    /// Jobs that cannot be through by their deadline even if every pass from now on is theirs. In the order in which they came.
    ///
    /// - Parameters:
    ///   - now: on the deadlines' clock.
    ///   - pass: how long a pass takes at least, likewise.
    package func hopeless(at now: Int64, pass: Int64) -> [Ticket] {
        let dated = jobs.filter { $0.value.deadline != nil }
        guard !dated.isEmpty else { return [] }
        var longest: [Int: Int] = [:]
        for group in groups.values {
            for resident in group.residents {
                let left = resident.sample.passes - resident.passesDone
                longest[resident.id.ticket.number] = max(longest[resident.id.ticket.number] ?? 0, left)
            }
        }
        return dated.compactMap { number, job in
            let waiting = job.samples.dropFirst(job.next).map { $0.passes - $0.passesDone }.max() ?? 0
            // In Double: a client may name any deadline.
            let end = Double(now) + Double(max(longest[number] ?? 0, waiting)) * Double(pass)
            return end > Double(job.deadline ?? .max) ? Ticket(number: number) : nil
        }.sorted { $0.number < $1.number }
    }

    // MARK: admission

    private mutating func promote() {
        while let ticket = backlog.first, let job = jobs[ticket.number], alone == nil {
            if job.alone {
                guard active == 0 else { return }
                alone = ticket
            }
            backlog.removeFirst()
            active += 1
            if groups[job.group] == nil {
                groups[job.group] = Group()
                turns.add(job.group)
            }
            modify(job.group) {
                $0.jobs.insert(ticket.number)
                $0.waiting.add(ticket.number, priority: job.priority, deadline: job.deadline)
            }
        }
    }

    private func standing(_ key: GroupKey, of group: Group) -> GroupTurns.Standing {
        let jobs = group.jobs.compactMap { self.jobs[$0] }
        let priority = jobs.map(\.priority).max() ?? 0
        return GroupTurns.Standing(
            group: key, priority: priority,
            deadline: jobs.filter { $0.priority == priority }.compactMap(\.deadline).min())
    }

    private mutating func admit(to key: GroupKey) {
        guard var group = groups.removeValue(forKey: key) else { return }
        while let number = group.waiting.first(at: now), var job = jobs.removeValue(forKey: number) {
            let index = job.next, sample = job.samples[index]
            guard group.width == 0 || group.width + sample.width <= capacity else {
                jobs[number] = job
                break
            }
            group.residents.append(
                Resident(
                    id: SampleID(ticket: Ticket(number: number), index: index), sample: sample,
                    passesDone: sample.passesDone))
            group.width += sample.width
            job.next += 1
            job.passOver()
            group.waiting.serve(width: sample.width, more: job.next < job.samples.count, at: now)
            jobs[number] = job
        }
        groups[key] = group
    }

    private mutating func tidy(_ key: GroupKey) {
        guard groups[key]?.isEmpty == true else { return }
        groups[key] = nil
        turns.remove(key)
    }

    private mutating func modify(_ key: GroupKey, _ change: (inout Group) -> Void) {
        guard let index = groups.index(forKey: key) else { return }
        change(&groups.values[index])
    }
}

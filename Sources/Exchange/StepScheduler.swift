internal import DequeModule

/// Which samples share the next forward pass: continuous batching of denoising, step by step.
///
///     while let iteration = scheduler.next() {
///         … one forward pass over iteration.slots, each at its own timestep …
///         for done in scheduler.advance().completed { … }
///     }
///
/// One iteration is one forward pass of one group (samples of the same model and shape). Slots may stand at different timesteps
/// of different lists; each sample makes its own passes, every one once. At most `capacity` samples share a pass, a guided one
/// counting twice, since it is run with and without its label.
///
/// - Groups that have something to do take turns, so no group waits for more than the number of groups.
/// - Within a group, jobs with samples that wait take turns (stride scheduling: a priority one higher is worth twice the
///   turns), so a job of many samples does not shut out a small one and no job waits for ever.
/// - Who is next and does not fit waits for room rather than being overtaken, so guided samples are not starved.
/// - A job that must run alone starts when all before it are through, and those after it wait for it.
///
/// Tensors, prompts and solvers belong to the caller, which keys them by `SampleID`.
package struct StepScheduler: Sendable {
    private struct Job: Sendable {
        let group: GroupKey
        let samples: [Sample]
        let alone: Bool
        /// Turns are spaced by this.
        let stride: Double
        /// Samples before this one were admitted.
        var admitted = 0
        var unfinished: Int
        var passesDone = 0
        let passes: Int
    }

    private struct Resident: Sendable {
        let id: SampleID
        let sample: Sample
        var passesDone = 0
    }

    private struct Group: Sendable {
        var residents: [Resident] = []
        var width = 0
        /// Jobs with samples that were not admitted yet, by turn.
        var waiting = RankedHeap()
        /// Of the job that was admitted last: where a new job begins.
        var turn = 0.0

        var isEmpty: Bool { residents.isEmpty && waiting.isEmpty }
    }

    package let capacity: Int
    private var jobs: [Int: Job] = [:]
    private var tickets = 0
    private var groups: [GroupKey: Group] = [:]
    /// The groups that have something to do, the next one first.
    private var ring: Deque<GroupKey> = []
    /// A job that must run alone and is not running yet, and all that came after it.
    private var backlog: Deque<Ticket> = []
    /// Jobs that take part: not in the backlog.
    private var active = 0
    private var alone: Ticket?
    /// The group whose pass was handed out and not yet advanced.
    private var inFlight: GroupKey?

    /// - Parameter capacity: the widest forward pass, in network inputs.
    package init(capacity: Int) {
        precondition(capacity > 0)
        self.capacity = capacity
    }

    package var isIdle: Bool { jobs.isEmpty }
    package var jobCount: Int { jobs.count }

    /// - Parameter alone: no sample of another job is run while one of this is under way.
    /// - Throws: `badTimesteps` for no sample, or one without a pass; `tooWide` for a guided sample where two inputs do not fit.
    package mutating func add(
        _ samples: [Sample], group: GroupKey, priority: Int32 = 0, alone: Bool = false
    ) throws(ExchangeError) -> Ticket {
        guard !samples.isEmpty else { throw ExchangeError(.badTimesteps, "a job has at least one sample") }
        for sample in samples {
            guard sample.passes > 0 else {
                throw ExchangeError(.badTimesteps, "a sample takes one step or more from its start to its cut")
            }
            guard sample.width <= capacity else {
                throw ExchangeError(
                    .tooWide, "a guided sample needs two network inputs and this worker runs one at a time")
            }
        }
        tickets += 1
        let ticket = Ticket(number: tickets)
        let exponent = Int(min(max(priority, -8), 8))
        jobs[ticket.number] = Job(
            group: group, samples: samples, alone: alone,
            stride: Double(sign: .plus, exponent: -exponent, significand: 1), unfinished: samples.count,
            passes: samples.reduce(0) { $0 + $1.passes })
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
            modify(job.group) { group in
                group.waiting.remove(ticket.number)
                group.residents.removeAll { $0.id.ticket == ticket }
                group.width = group.residents.reduce(0) { $0 + $1.sample.width }
            }
            tidy(job.group)
        }
        promote()
    }

    /// The next forward pass; nil: nothing to do. The one before must have been advanced.
    package mutating func next() -> Iteration? {
        precondition(inFlight == nil, "the iteration before was not advanced")
        guard let key = ring.popFirst() else { return nil }
        ring.append(key)
        admit(to: key)
        guard let group = groups[key] else { return nil }
        inFlight = key
        return Iteration(
            group: key,
            slots: group.residents.map { resident in
                Slot(
                    sample: resident.id, pass: resident.passesDone, guided: resident.sample.guided,
                    isLast: resident.passesDone + 1 == resident.sample.passes)
            })
    }

    /// The pass was run: its samples are one pass further, and those that reached their cut leave.
    package mutating func advance() -> Advance {
        guard let key = inFlight else { return Advance(retired: [], completed: []) }
        inFlight = nil
        var result = Advance(retired: [], completed: [])
        guard var group = groups.removeValue(forKey: key) else { return result }
        var staying: [Resident] = []
        staying.reserveCapacity(group.residents.count)
        for var resident in group.residents {
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
                jobs[ticket.number] = nil
                active -= 1
                if alone == ticket { alone = nil }
            }
        }
        group.residents = staying
        groups[key] = group
        tidy(key)
        promote()
        return result
    }

    /// Passes done and to do over all samples of the job; nil: it is over.
    package func progress(of ticket: Ticket) -> (done: Int, total: Int)? {
        jobs[ticket.number].map { ($0.passesDone, $0.passes) }
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
                ring.append(job.group)
            }
            let turn = groups[job.group]?.turn ?? 0
            modify(job.group) { $0.waiting.set(ticket.number, rank: turn) }
        }
    }

    private mutating func admit(to key: GroupKey) {
        guard var group = groups.removeValue(forKey: key) else { return }
        while let (number, turn) = group.waiting.first, let job = jobs[number] {
            let sample = job.samples[job.admitted]
            guard group.width + sample.width <= capacity else { break }
            group.residents.append(
                Resident(id: SampleID(ticket: Ticket(number: number), index: job.admitted), sample: sample))
            group.width += sample.width
            group.turn = turn
            jobs[number]?.admitted += 1
            if job.admitted + 1 < job.samples.count {
                group.waiting.set(number, rank: turn + job.stride * Double(sample.width))
            } else {
                group.waiting.remove(number)
            }
        }
        groups[key] = group
    }

    private mutating func tidy(_ key: GroupKey) {
        guard groups[key]?.isEmpty == true else { return }
        groups[key] = nil
        ring.removeAll { $0 == key }
    }

    private mutating func modify(_ key: GroupKey, _ change: (inout Group) -> Void) {
        guard let index = groups.index(forKey: key) else { return }
        change(&groups.values[index])
    }
}

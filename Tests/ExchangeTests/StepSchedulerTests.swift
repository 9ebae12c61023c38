import Testing

@testable import Exchange

@Suite struct StepSchedulerTests {
    typealias Sample = StepScheduler.Sample
    typealias Group = StepScheduler.GroupKey

    static let group = Group(model: 1, shape: [1, 8, 8])

    private func walk(_ count: Int) -> Sample { Sample(passes: count) }

    private func pass(_ scheduler: inout StepScheduler) throws -> StepScheduler.Iteration {
        let iteration = scheduler.next()
        return try #require(iteration)
    }

    @Test func aSampleTakesItsSteps() throws {
        var scheduler = StepScheduler(capacity: 4)
        let ticket = try scheduler.add([walk(2)], group: Self.group)
        let first = try pass(&scheduler)
        #expect(first.group == Self.group)
        #expect(first.slots.map(\.pass) == [0])
        #expect(first.slots[0].isLast == false)
        let none = scheduler.advance().retired
        #expect(none.isEmpty)
        #expect(scheduler.progress(of: ticket)?.done == 1)
        #expect(scheduler.progress(of: ticket)?.total == 2)
        let second = try pass(&scheduler)
        #expect(second.slots.map(\.pass) == [1])
        #expect(second.slots[0].isLast)
        let done = scheduler.advance()
        #expect(done.retired.map(\.index) == [0])
        #expect(done.completed == [ticket])
        let last = scheduler.next()
        #expect(last == nil)
        #expect(scheduler.isIdle)
    }

    @Test func jobsAtDifferentStepsShareAPass() throws {
        var scheduler = StepScheduler(capacity: 8)
        _ = try scheduler.add([walk(500)], group: Self.group)
        _ = scheduler.next()
        _ = scheduler.advance()
        _ = try scheduler.add([walk(20), Sample(passes: 600, passesDone: 7)], group: Self.group)
        let slots = try pass(&scheduler).slots
        #expect(slots.map(\.pass) == [1, 0, 7])
    }

    @Test("a job goes on where another worker left it: what is through is not run again")
    func resumption() throws {
        var scheduler = StepScheduler(capacity: 2)
        let ticket = try scheduler.add(
            [
                Sample(passes: 4, passesDone: 4), Sample(passes: 4, passesDone: 3), walk(4),
                Sample(passes: 4, passesDone: 4),
            ],
            group: Self.group)
        #expect(scheduler.progress(of: ticket)?.done == 11)
        var seen: [[Int]] = []
        while let iteration = scheduler.next() {
            seen.append(iteration.slots.flatMap { [$0.sample.index, $0.pass] })
            _ = scheduler.advance()
        }
        #expect(seen == [[1, 3, 2, 0], [2, 1], [2, 2], [2, 3]])
        #expect(scheduler.isIdle)
    }

    @Test func stepsThatCannotBeTakenAreRefused() {
        var scheduler = StepScheduler(capacity: 1)
        let bad = [
            Sample(passes: 0), Sample(passes: -1), Sample(passes: 3, passesDone: 4), Sample(passes: 3, passesDone: -1),
        ]
        for sample in bad + [Sample(passes: 3, passesDone: 3)] {
            #expect(throws: ExchangeError.self) { try scheduler.add([sample], group: Self.group) }
        }
        #expect(throws: ExchangeError.self) { try scheduler.add([], group: Self.group) }
        #expect(throws: ExchangeError.self) { try scheduler.add([Sample(passes: 1, guided: true)], group: Self.group) }
        #expect(scheduler.isIdle)
    }

    @Test func oneFailingSampleEndsItsJobOnly() throws {
        var scheduler = StepScheduler(capacity: 8)
        let bad = try scheduler.add([walk(8), walk(8)], group: Self.group)
        let good = try scheduler.add([walk(2)], group: Self.group)
        _ = scheduler.next()
        scheduler.cancel(bad)  // while the pass is under way
        let none = scheduler.advance().retired
        #expect(none.isEmpty)
        #expect(scheduler.progress(of: bad) == nil)
        let tickets = try pass(&scheduler).slots.map(\.sample.ticket)
        let completed = scheduler.advance().completed
        #expect(tickets == [good] && completed == [good])
    }

    @Test func aSmallJobIsNotShutOutByALargeOne() throws {
        var scheduler = StepScheduler(capacity: 4)
        _ = try scheduler.add((0..<100).map { _ in walk(4) }, group: Self.group)
        _ = scheduler.next()
        _ = scheduler.advance()
        let small = try scheduler.add([walk(4)], group: Self.group)
        var passes = 0
        while scheduler.progress(of: small) != nil {
            passes += 1
            _ = scheduler.next()
            _ = scheduler.advance()
        }
        #expect(passes <= 8)  // three passes until slots are free, four for its own steps, one to spare
    }

    @Test func groupsTakeTurns() throws {
        var scheduler = StepScheduler(capacity: 2)
        let groups = (1...3).map { Group(model: UInt64($0), shape: [1, 8, 8]) }
        for group in groups { _ = try scheduler.add((0..<4).map { _ in walk(4) }, group: group) }
        var seen: [Group] = []
        for _ in 0..<9 {
            seen.append(try pass(&scheduler).group)
            _ = scheduler.advance()
        }
        #expect(seen == groups + groups + groups)
    }

    @Test func aHigherPriorityGetsMoreTurnsAndALowerOneStillSome() throws {
        var scheduler = StepScheduler(capacity: 1)
        let low = try scheduler.add((0..<40).map { _ in walk(1) }, group: Self.group)
        let high = try scheduler.add((0..<40).map { _ in walk(1) }, group: Self.group, priority: 2)
        for _ in 0..<25 {
            _ = scheduler.next()
            _ = scheduler.advance()
        }
        #expect(scheduler.progress(of: high)?.done == 20)
        #expect(scheduler.progress(of: low)?.done == 5)
    }

    @Test func aSuspectRunsAloneAndInItsTurn() throws {
        var scheduler = StepScheduler(capacity: 4)
        let before = try scheduler.add([walk(3), walk(3)], group: Self.group)
        let suspect = try scheduler.add([walk(2), walk(2)], group: Self.group, alone: true)
        let after = try scheduler.add([walk(2)], group: Group(model: 2, shape: [1, 8, 8]))
        var order: [Set<StepScheduler.Ticket>] = []
        while let iteration = scheduler.next() {
            let tickets = Set(iteration.slots.map(\.sample.ticket))
            if order.last != tickets { order.append(tickets) }
            _ = scheduler.advance()
        }
        #expect(order == [[before], [suspect], [after]])
    }

    @Test func aCancelledSuspectLetsTheOthersPass() throws {
        var scheduler = StepScheduler(capacity: 4)
        let before = try scheduler.add([walk(3)], group: Self.group)
        let suspect = try scheduler.add([walk(2)], group: Self.group, alone: true)
        let after = try scheduler.add([walk(2)], group: Self.group)
        scheduler.cancel(suspect)
        let tickets = Set(try pass(&scheduler).slots.map(\.sample.ticket))
        #expect(tickets == [before, after])
    }

    @Test("within a priority the earliest deadline is first, and jobs without one still get every fourth turn")
    func deadlines() throws {
        var scheduler = StepScheduler(capacity: 1)
        let undated = try scheduler.add((0..<9).map { _ in walk(1) }, group: Self.group)
        let late = try scheduler.add((0..<3).map { _ in walk(1) }, group: Self.group, deadline: 900)
        let early = try scheduler.add((0..<3).map { _ in walk(1) }, group: Self.group, deadline: 500)
        var order: [StepScheduler.Ticket] = []
        while let iteration = scheduler.next() {
            order += iteration.slots.map(\.sample.ticket)
            _ = scheduler.advance()
        }
        #expect(order.prefix(8) == [early, early, early, undated, late, late, late, undated])
    }

    @Test("a job is hopeless once its longest way takes longer than it has")
    func hopeless() throws {
        var scheduler = StepScheduler(capacity: 2)
        let job = try scheduler.add([walk(3), walk(9), walk(5)], group: Self.group, deadline: 1_000)
        _ = try scheduler.add([walk(90)], group: Self.group)
        #expect(scheduler.hopeless(at: 0, pass: 111).isEmpty)
        #expect(scheduler.hopeless(at: 0, pass: 112) == [job])
        // Two samples are under way; the third waits with its five steps.
        for _ in 0..<2 {
            _ = scheduler.next()
            _ = scheduler.advance()
        }
        #expect(scheduler.hopeless(at: 300, pass: 100).isEmpty)
        #expect(scheduler.hopeless(at: 301, pass: 100) == [job])
        #expect(scheduler.hopeless(at: 1_001, pass: 0) == [job])
        #expect(scheduler.hopeless(at: .max, pass: .max) == [job])
    }

    @Test("a pass that was too wide is run again, narrower, and nothing is lost or done twice")
    func narrowing() throws {
        var scheduler = StepScheduler(capacity: 8)
        _ = try scheduler.add((0..<6).map { _ in walk(3) }, group: Self.group)
        _ = try scheduler.add([Sample(passes: 2, guided: true)], group: Self.group)
        let wide = try pass(&scheduler).slots
        #expect(wide.count == 7)
        scheduler.giveUp()
        scheduler.narrow(to: 4)
        var walked: [StepScheduler.SampleID: [Int]] = [:]
        while let iteration = scheduler.next() {
            #expect(iteration.slots.reduce(0) { $0 + ($1.guided ? 2 : 1) } <= 4)
            for slot in iteration.slots { walked[slot.sample, default: []].append(slot.pass) }
            _ = scheduler.advance()
        }
        #expect(walked.count == 7)
        for slot in wide { #expect(walked[slot.sample] == Array(0..<(slot.guided ? 2 : 3))) }
    }

    @Test("one sample is run however narrow passes became, and they become wide again")
    func oneAtATime() throws {
        var scheduler = StepScheduler(capacity: 8)
        _ = try scheduler.add([walk(2), walk(2)], group: Self.group)
        _ = try scheduler.add([Sample(passes: 2, guided: true)], group: Self.group)
        _ = scheduler.next()
        scheduler.giveUp()
        scheduler.narrow(to: 1)
        #expect(scheduler.capacity == 1 && scheduler.isNarrowed)
        // One that came in since, too.
        _ = try scheduler.add([Sample(passes: 1, guided: true)], group: Group(model: 2, shape: [1, 8, 8]))
        var passes = 0
        while let iteration = scheduler.next() {
            #expect(iteration.slots.count == 1)
            passes += 1
            _ = scheduler.advance()
        }
        #expect(passes == 7)
        for capacity in [2, 4, 8, 8] {
            scheduler.widen()
            #expect(scheduler.capacity == capacity && scheduler.isNarrowed == (capacity < 8))
        }
    }

    @Test("a high priority in one group does not wait for low ones in another, which still get their share")
    func prioritiesBetweenGroups() throws {
        var scheduler = StepScheduler(capacity: 4)
        let low = try scheduler.add((0..<4).map { _ in walk(100) }, group: Self.group)
        // Of another length of text.
        let high = try scheduler.add([walk(24)], group: Group(model: 1, shape: [1, 8, 8], tokens: 5), priority: 2)
        var passes = 0
        while scheduler.progress(of: high) != nil, passes < 200 {
            passes += 1
            _ = scheduler.next()
            _ = scheduler.advance()
        }
        // Four of five passes are its own.
        #expect((24...31).contains(passes))
        #expect((scheduler.progress(of: low)?.done ?? 0) / 4 == passes - 24)
    }

    @Test("a waiting job of high priority speeds up the group whose slots it waits for")
    func inheritance() throws {
        var scheduler = StepScheduler(capacity: 1)
        _ = try scheduler.add([walk(20)], group: Self.group)
        _ = try scheduler.add([walk(500)], group: Group(model: 2, shape: [1, 8, 8]))
        let urgent = try scheduler.add([walk(4)], group: Self.group, priority: 3)
        var passes = 0
        while scheduler.progress(of: urgent) != nil, passes < 500 {
            passes += 1
            _ = scheduler.next()
            _ = scheduler.advance()
        }
        #expect(passes <= 24 * 9 / 8 + 2)
    }

    @Test("a near deadline in one group goes first, three times of four; a far one is no hurry")
    func deadlinesBetweenGroups() throws {
        func passes(until deadline: Int64, priority: Int32 = 0) throws -> Int {
            var scheduler = StepScheduler(capacity: 4)
            scheduler.now = 1_000
            for tokens in 1...3 {
                _ = try scheduler.add(
                    (0..<4).map { _ in walk(100) }, group: Group(model: 1, shape: [1, 8, 8], tokens: tokens),
                    priority: priority)
            }
            let dated = try scheduler.add([walk(12)], group: Self.group, deadline: deadline)
            var passes = 0
            while scheduler.progress(of: dated) != nil, passes < 500 {
                passes += 1
                _ = scheduler.next()
                _ = scheduler.advance()
            }
            return passes
        }
        #expect(try passes(until: 60_000) <= 16)
        #expect(try passes(until: 2_000_000) == 48)
        // Priorities come first: a fifth of the passes is left.
        #expect(try passes(until: 60_000, priority: 2) >= 56)
    }

    /// The bound of the header, under ever new groups whose jobs are in a hurry or of a higher priority.
    @Test("no group waits for ever, whatever comes after it", arguments: 0..<8)
    func noGroupWaitsForEver(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        var scheduler = StepScheduler(capacity: 2 + random.below(3))
        var tokens = 1, alive: [StepScheduler.Ticket: Int32] = [:]
        func flood() throws {
            tokens += 1
            let priority = Int32(random.below(4))
            let ticket = try scheduler.add(
                (0..<(1 + random.below(3))).map { _ in walk(1 + random.below(3)) },
                group: Group(model: 1, shape: [1, 8, 8], tokens: random.chance(0.5) ? tokens : 1 + random.below(4)),
                priority: priority, deadline: random.chance(0.5) ? 5 : nil)
            alive[ticket] = priority
        }
        let patient = try scheduler.add([walk(20)], group: Self.group)
        // Eight others at a time, of four priorities: 4·G·(2·Σw/w + n).
        let bound = 4 * 9 * (2 * 15 + 4)
        for step in 0..<20 {
            var passes = 0
            while scheduler.progress(of: patient)?.done == step, passes <= bound {
                while alive.count < 8 { try flood() }
                passes += 1
                _ = scheduler.next()
                for ticket in scheduler.advance().completed { alive[ticket] = nil }
            }
            #expect(passes <= bound)
        }
    }

    /// The bound of the header: turns of `AdmissionQueue`, each after 4·G·L passes at most, since all groups have jobs of all priorities.
    @Test("a job of the lowest priority is admitted in time, whatever comes after it", arguments: 0..<12)
    func nobodyWaitsForEver(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        let groups = (1...(1 + random.below(3))).map { Group(model: UInt64($0), shape: [1, 8, 8]) }
        let longest = 4, priorities = 1 + random.below(3)
        var scheduler = StepScheduler(capacity: 2 + random.below(3))
        func flood() throws {
            for group in groups {
                for priority in 0...priorities {
                    _ = try scheduler.add(
                        (0..<(1 + random.below(2))).map { _ in
                            Sample(passes: 1 + random.below(longest), guided: random.chance(0.4))
                        }, group: group, priority: Int32(priority), deadline: priority == 0 ? 5 : nil)
                }
            }
        }
        for _ in 0..<5 { try flood() }
        let patient = try scheduler.add([walk(longest)], group: groups[0])
        // Before it came in its band a job of each flood.
        let weights = (0...priorities).reduce(0.0) { $0 + Double(1 << $1) }
        let turns = Double(4 * (2 * 5 + 1)) * (2 * weights + Double(priorities + 1))
        let bound = Int(turns) * 4 * groups.count * longest
        var passes = 0
        while scheduler.progress(of: patient)?.done == 0 {
            passes += 1
            _ = scheduler.next()
            _ = scheduler.advance()
            if passes.isMultiple(of: 2) { try flood() }
            guard passes <= bound else { break }
        }
        #expect(passes <= bound)
    }

    /// No sample skips or repeats a step, the width is never exceeded, all that is not cancelled ends, and nobody waits for
    /// longer than all the others' steps take.
    @Test(arguments: 0..<150) func lawsHoldUnderRandomLoad(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        var scheduler = StepScheduler(capacity: 2 + random.below(8))
        var expected: [StepScheduler.SampleID: Range<Int>] = [:]
        var walked: [StepScheduler.SampleID: [Int]] = [:]
        var guided: [StepScheduler.SampleID: Bool] = [:]
        var groups: [StepScheduler.Ticket: Group] = [:]
        var alone: Set<StepScheduler.Ticket> = []
        var completed: Set<StepScheduler.Ticket> = []
        var cancelled: Set<StepScheduler.Ticket> = []
        var workLeft = 0
        var passes = 0
        func run(until limit: Int) throws {
            while passes < limit, let iteration = scheduler.next() {
                if random.chance(0.01) {
                    scheduler.giveUp()
                    scheduler.narrow(to: scheduler.capacity - 1)
                    continue
                }
                passes += 1
                #expect(!iteration.slots.isEmpty)
                #expect(iteration.width <= scheduler.capacity || iteration.slots.count == 1)
                #expect(Set(iteration.slots.map(\.sample)).count == iteration.slots.count)
                for slot in iteration.slots {
                    #expect(groups[slot.sample.ticket] == iteration.group)
                    #expect(!cancelled.contains(slot.sample.ticket))
                    #expect(guided[slot.sample] == slot.guided)
                    if alone.contains(slot.sample.ticket) {
                        #expect(iteration.slots.allSatisfy { $0.sample.ticket == slot.sample.ticket })
                    }
                    #expect(slot.isLast == (slot.pass + 1 == expected[slot.sample]?.upperBound))
                    walked[slot.sample, default: []].append(slot.pass)
                }
                if random.chance(0.02),
                    let victim = groups.keys.filter({ !completed.contains($0) && !cancelled.contains($0) }).min(by: {
                        $0.number < $1.number
                    })
                {
                    cancelled.insert(victim)
                    scheduler.cancel(victim)
                }
                let advance = scheduler.advance()
                for sample in advance.retired { #expect(walked[sample] == expected[sample].map(Array.init)) }
                completed.formUnion(advance.completed)
            }
        }
        for _ in 0..<30 {
            let group = Group(model: UInt64(1 + random.below(3)), shape: [1, 8, 8])
            var samples = (0..<(1 + random.below(6))).map { _ in
                let passes = 1 + random.below(6)
                return Sample(
                    passes: passes, guided: random.chance(0.3),
                    passesDone: random.chance(0.2) ? random.below(passes + 1) : 0
                )
            }
            if samples.allSatisfy({ $0.passesDone == $0.passes }) { samples.append(Sample(passes: 1)) }
            workLeft += samples.reduce(0) { $0 + $1.passes - $1.passesDone }
            let suspect = random.chance(0.1)
            let ticket = try scheduler.add(
                samples, group: group, priority: Int32(random.below(3)),
                deadline: random.chance(0.3) ? Int64(random.below(1_000)) : nil, alone: suspect)
            groups[ticket] = group
            if suspect { alone.insert(ticket) }
            for (index, sample) in samples.enumerated() {
                let id = StepScheduler.SampleID(ticket: ticket, index: index)
                expected[id] = sample.passesDone..<sample.passes
                guided[id] = sample.guided
            }
            try run(until: passes + random.below(4))
        }
        // A pass does at least one step, so what is not through by then waits for ever.
        try run(until: passes + workLeft)
        #expect(scheduler.isIdle)
        #expect(completed.union(cancelled) == Set(groups.keys))
        #expect(completed.isDisjoint(with: cancelled))
        for (id, steps) in expected where completed.contains(id.ticket) {
            #expect((walked[id] ?? []) == Array(steps))
        }
    }
}

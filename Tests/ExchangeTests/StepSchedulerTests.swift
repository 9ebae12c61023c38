import Testing

@testable import Exchange

@Suite struct StepSchedulerTests {
    typealias Sample = StepScheduler.Sample
    typealias Group = StepScheduler.GroupKey

    static let group = Group(model: 1, shape: [1, 8, 8])

    private func ramp(_ from: Int, _ to: Int) -> Sample { Sample(passes: from - to) }

    private func pass(_ scheduler: inout StepScheduler) throws -> StepScheduler.Iteration {
        let iteration = scheduler.next()
        return try #require(iteration)
    }

    @Test func aSampleMakesItsPasses() throws {
        var scheduler = StepScheduler(capacity: 4)
        let ticket = try scheduler.add([Sample(passes: 2)], group: Self.group)
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
        _ = try scheduler.add([ramp(1000, 500)], group: Self.group)
        _ = scheduler.next()
        _ = scheduler.advance()
        _ = try scheduler.add([ramp(30, 10), ramp(800, 200)], group: Self.group)
        let slots = try pass(&scheduler).slots
        #expect(slots.map(\.pass) == [1, 0, 0])
    }

    @Test func samplesWithoutAPassAreRefused() {
        var scheduler = StepScheduler(capacity: 1)
        for passes in [0, -1, .min] {
            #expect(throws: ExchangeError.self) { try scheduler.add([Sample(passes: passes)], group: Self.group) }
        }
        #expect(throws: ExchangeError.self) { try scheduler.add([], group: Self.group) }
        #expect(throws: ExchangeError.self) {
            try scheduler.add([Sample(passes: 1, guided: true)], group: Self.group)
        }
        #expect(scheduler.isIdle)
    }

    @Test func oneFailingSampleEndsItsJobOnly() throws {
        var scheduler = StepScheduler(capacity: 8)
        let bad = try scheduler.add([ramp(9, 1), ramp(9, 1)], group: Self.group)
        let good = try scheduler.add([ramp(3, 1)], group: Self.group)
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
        _ = try scheduler.add((0..<100).map { _ in ramp(5, 1) }, group: Self.group)
        _ = scheduler.next()
        _ = scheduler.advance()
        let small = try scheduler.add([ramp(5, 1)], group: Self.group)
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
        for group in groups { _ = try scheduler.add((0..<4).map { _ in ramp(5, 1) }, group: group) }
        var seen: [Group] = []
        for _ in 0..<9 {
            seen.append(try pass(&scheduler).group)
            _ = scheduler.advance()
        }
        #expect(seen == groups + groups + groups)
    }

    @Test func aHigherPriorityGetsMoreTurnsAndALowerOneStillSome() throws {
        var scheduler = StepScheduler(capacity: 1)
        let low = try scheduler.add((0..<40).map { _ in ramp(2, 1) }, group: Self.group)
        let high = try scheduler.add((0..<40).map { _ in ramp(2, 1) }, group: Self.group, priority: 2)
        for _ in 0..<25 {
            _ = scheduler.next()
            _ = scheduler.advance()
        }
        #expect(scheduler.progress(of: high)?.done == 20)
        #expect(scheduler.progress(of: low)?.done == 5)
    }

    @Test func aSuspectRunsAloneAndInItsTurn() throws {
        var scheduler = StepScheduler(capacity: 4)
        let before = try scheduler.add([ramp(4, 1), ramp(4, 1)], group: Self.group)
        let suspect = try scheduler.add([ramp(3, 1), ramp(3, 1)], group: Self.group, alone: true)
        let after = try scheduler.add([ramp(3, 1)], group: Group(model: 2, shape: [1, 8, 8]))
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
        let before = try scheduler.add([ramp(4, 1)], group: Self.group)
        let suspect = try scheduler.add([ramp(3, 1)], group: Self.group, alone: true)
        let after = try scheduler.add([ramp(3, 1)], group: Self.group)
        scheduler.cancel(suspect)
        let tickets = Set(try pass(&scheduler).slots.map(\.sample.ticket))
        #expect(tickets == [before, after])
    }

    /// No sample skips or repeats a pass, the width is never exceeded, all that is not cancelled ends, and nobody waits for
    /// longer than all the others' passes take.
    @Test(arguments: 0..<150) func lawsHoldUnderRandomLoad(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        let capacity = 2 + random.below(8)
        var scheduler = StepScheduler(capacity: capacity)
        var expected: [StepScheduler.SampleID: Int] = [:]
        var made: [StepScheduler.SampleID: Int] = [:]
        var guided: [StepScheduler.SampleID: Bool] = [:]
        var groups: [StepScheduler.Ticket: Group] = [:]
        var alone: Set<StepScheduler.Ticket> = []
        var completed: Set<StepScheduler.Ticket> = []
        var cancelled: Set<StepScheduler.Ticket> = []
        var workLeft = 0
        var passes = 0
        func walk(until limit: Int) throws {
            while passes < limit, let iteration = scheduler.next() {
                passes += 1
                #expect(!iteration.slots.isEmpty)
                #expect(iteration.slots.reduce(0) { $0 + ($1.guided ? 2 : 1) } <= capacity)
                #expect(Set(iteration.slots.map(\.sample)).count == iteration.slots.count)
                for slot in iteration.slots {
                    #expect(groups[slot.sample.ticket] == iteration.group)
                    #expect(!cancelled.contains(slot.sample.ticket))
                    #expect(guided[slot.sample] == slot.guided)
                    if alone.contains(slot.sample.ticket) {
                        #expect(iteration.slots.allSatisfy { $0.sample.ticket == slot.sample.ticket })
                    }
                    #expect(made[slot.sample, default: 0] == slot.pass)
                    made[slot.sample, default: 0] += 1
                    #expect(slot.isLast == (made[slot.sample] == expected[slot.sample]))
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
                for sample in advance.retired { #expect(made[sample] == expected[sample]) }
                completed.formUnion(advance.completed)
            }
        }
        for _ in 0..<30 {
            let group = Group(model: UInt64(1 + random.below(3)), shape: [1, 8, 8])
            let samples = (0..<(1 + random.below(6))).map { _ in
                Sample(passes: 1 + random.below(6), guided: random.chance(0.3))
            }
            workLeft += samples.reduce(0) { $0 + $1.passes }
            let suspect = random.chance(0.1)
            let ticket = try scheduler.add(samples, group: group, priority: Int32(random.below(3)), alone: suspect)
            groups[ticket] = group
            if suspect { alone.insert(ticket) }
            for (index, sample) in samples.enumerated() {
                let id = StepScheduler.SampleID(ticket: ticket, index: index)
                expected[id] = sample.passes
                guided[id] = sample.guided
            }
            try walk(until: passes + random.below(4))
        }
        // An iteration does at least one, so what is not through by then waits for ever.
        try walk(until: passes + workLeft)
        #expect(scheduler.isIdle)
        #expect(completed.union(cancelled) == Set(groups.keys))
        #expect(completed.isDisjoint(with: cancelled))
        for (id, passes) in expected where completed.contains(id.ticket) { #expect(made[id] == passes) }
    }
}

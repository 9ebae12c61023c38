import Testing

@testable import Exchange

/// Whose turn it is among the jobs of a group.
@Suite struct AdmissionQueueTests {
    /// A queue of one priority, with jobs of so many samples.
    private struct Line {
        var queue = AdmissionQueue()
        var left: [Int: Int] = [:]
        var now: Int64 = 1_000_000

        mutating func add(_ job: Int, samples: Int, deadline: Int64? = nil) {
            left[job] = samples
            queue.add(job, priority: 0, deadline: deadline)
        }

        /// - Returns: whose turn it was.
        mutating func turn(width: Int = 1) -> Int? {
            guard let job = queue.first(at: now), let samples = left[job] else { return nil }
            left[job] = samples > 1 ? samples - 1 : nil
            queue.serve(width: width, more: samples > 1, at: now)
            return job
        }
    }

    @Test("a stream of near deadlines does not keep a far one, or a job without one, from its turns")
    func nearDeadlinesDoNotStarveOthers() {
        for deadline: Int64? in [nil, .max, 1_700_000] {
            var line = Line()
            line.add(0, samples: 20, deadline: deadline)
            var served: [Int] = []
            for number in 1...200 {
                line.add(number, samples: 2, deadline: line.now + 1_000)
                if let job = line.turn() { served.append(job) }
                line.now += 10
            }
            // Every fourth turn is a fair one, for more and more jobs.
            #expect(served.count { $0 == 0 } >= 4, "\(deadline ?? 0)")
        }
    }

    @Test("a stream of small jobs does not keep a large one from its next sample")
    func newcomersDoNotStarveTheOld() {
        var line = Line()
        line.add(0, samples: 100)
        var served: [Int] = []
        for number in 1...100 {
            line.add(number, samples: 1)
            if let job = line.turn(width: number.isMultiple(of: 3) ? 2 : 1) { served.append(job) }
        }
        #expect(served.count { $0 == 0 } >= 10)
    }

    @Test("who names a deadline that is far away gains nothing by it")
    func farDeadlinesAreNoHurry() {
        for deadline: Int64 in [.max, 1_600_001] {
            var line = Line()
            line.add(0, samples: 100)
            line.add(1, samples: 100, deadline: deadline)
            let served = (0..<60).compactMap { _ in line.turn() }
            #expect(served.count { $0 == 1 } == 30)
            // As it comes near it is one.
            line.now = deadline == .max ? .max : deadline - 600_000
            let later = (0..<40).compactMap { _ in line.turn() }
            #expect(later.count { $0 == 1 } == 30)
        }
    }

    /// The bound of the header, for every sample of every job, whoever comes and with whichever deadline.
    @Test(arguments: 0..<40) func nobodyWaitsLongerThanTheBound(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var line = Line(), number = 0
        /// Turns that a job may still wait for.
        var allowed: [Int: Int] = [:]
        for _ in 0..<1_500 {
            if random.chance(line.left.count < 3 ? 0.9 : 0.3) {
                let deadline: Int64? =
                    switch random.below(5) {
                    case 0: .max
                    case 1: line.now - 5
                    case 2: line.now + Int64(random.below(2_000_000))
                    case 3: line.now + Int64(random.below(100))
                    default: nil
                    }
                allowed[number] = 4 * (2 * line.left.count + 1)
                line.add(number, samples: 1 + random.below(6), deadline: deadline)
                number += 1
            }
            line.now += Int64(random.below(5_000))
            guard let served = line.turn(width: 1 + random.below(2)) else { continue }
            for job in allowed.keys { allowed[job]? -= 1 }
            #expect(allowed.values.allSatisfy { $0 >= 0 })
            allowed[served] = line.left[served] == nil ? nil : 4 * (2 * (line.left.count - 1) + 1)
        }
    }
}

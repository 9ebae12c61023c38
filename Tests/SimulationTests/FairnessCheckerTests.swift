import Exchange
import Testing
import Wire

@testable import Simulation

/// Brokers of a few lines, fair ones and others, before the checker: it objects to those that are unfair, and to no other.
@Suite struct FairnessCheckerTests {
    /// Serves two clients that always have jobs waiting, by whatever order it is given.
    private struct Shop {
        var checker: FairnessChecker
        var waiting: [[JobKey]] = [[], []]
        var running: [(key: JobKey, client: Int)] = []
        var served = [0.0, 0.0]
        private var jobs = 0
        private var now: Int64 = 0
        private static let ceiling: UInt64 = 3_000_000

        init(weights: [UInt32], priorities: [Int32] = [0, 0]) {
            checker = FairnessChecker(
                limits: Limits(), slots: 4, ageing: 2 * .second, recovered: [], at: 0
            ) { client in
                let place = Deployment.place(of: client) ?? 0
                return ClientRights(priority: priorities[place], weight: weights[place])
            }
        }

        mutating func submit(_ client: Int) {
            jobs += 1
            let key = JobKey(client: Deployment.client(client), job: identifier(jobs))
            let envelope = Envelope(
                client: key.client, job: key.job, kind: .denoise, run: Deployment.run, costCeiling: Self.ceiling,
                created: 0, expires: 1_000, poolKey: Deployment.denoiseKey,
                clientEphemeralKey: [UInt8](repeating: 1, count: 32))
            waiting[client].append(key)
            checker.decided([.append(.accepted(key, envelope: envelope.bytes, sealed: []))], cost: nil, at: now)
        }

        mutating func lease(_ client: Int) {
            let key = waiting[client].removeFirst()
            running.append((key, client))
            checker.decided([.append(.attempted(key, attempt: 1, epoch: 1))], cost: nil, at: now)
        }

        mutating func finish(cost: UInt64) {
            now += 100 * .millisecond
            let (key, client) = running.removeFirst()
            served[client] += Double(cost)
            let finished = JournalEntry.finished(key, header: [], sealed: [], keptUntil: 0)
            checker.decided([.append(finished), .append(.acknowledged(key))], cost: cost, at: now)
        }

        /// The job that runs longest is lost and comes back to wait; no entry says so.
        mutating func lose() {
            now += 100 * .millisecond
            let (key, client) = running.removeFirst()
            waiting[client].append(key)
        }
    }

    /// - Parameter next: whose turn it is, by what each was served.
    /// - Returns: after how many turns the checker objected; nil: never.
    private func play(
        _ weights: [UInt32], slots: Int = 4, losing: Bool = false, turns: Int = 400, next: (Shop) -> Int
    ) -> Int? {
        var shop = Shop(weights: weights)
        var random = SplitMix64(seed: 3)
        for client in 0..<2 { for _ in 0..<8 { shop.submit(client) } }
        for turn in 0..<turns {
            while shop.running.count < slots {
                let client = next(shop)
                shop.lease(client)
                if shop.waiting[client].count < 8 { shop.submit(client) }
            }
            if losing, random.chance(0.2) {
                shop.lose()
            } else {
                shop.finish(cost: UInt64(1 + random.below(3_000_000)))
            }
            if shop.checker.violation != nil { return turn }
        }
        #expect(shop.checker.comparisons > turns / 2)
        return nil
    }

    /// The client that was served least for its weight, with what it has leased taken at its ceiling.
    private func fair(_ shop: Shop, _ weights: [Double]) -> Int {
        let shares = (0..<2).map { client in
            (shop.served[client] + 3e6 * Double(shop.running.count { $0.client == client })) / weights[client]
        }
        return shares[0] <= shares[1] ? 0 : 1
    }

    @Test func turnsByCostAndWeightHold() {
        for weights: [UInt32] in [[1, 1], [1, 2], [5, 1]] {
            for losing in [false, true] {
                #expect(play(weights, losing: losing) { fair($0, weights.map(Double.init)) } == nil)
            }
        }
    }

    @Test func oneThatIsServedFirstIsFound() throws {
        for client in 0..<2 {
            // Eight jobs at their ceilings are the bound; they cost half of that.
            let turn = try #require(play([1, 1]) { _ in client })
            #expect(turn > 4 && turn < 40)
        }
    }

    @Test func weightsThatAreIgnoredAreFound() {
        #expect(play([1, 2]) { fair($0, [1, 1]) } != nil)
        #expect(play([2, 1]) { fair($0, [1, 1]) } != nil)
        #expect(play([1, 1]) { fair($0, [1, 2]) } != nil)
    }

    /// Turns by number of jobs, where one client's cost nine times as much.
    @Test func turnsByJobsAreFound() {
        var shop = Shop(weights: [1, 1])
        for client in 0..<2 { for _ in 0..<4 { shop.submit(client) } }
        for turn in 0..<100 where shop.checker.violation == nil {
            let client = turn % 2
            shop.lease(client)
            shop.submit(client)
            shop.finish(cost: client == 0 ? 2_700_000 : 300_000)
        }
        #expect(shop.checker.violation?.contains("unfair") == true)
    }

    /// A turn takes a tenth of a second, and a priority ages in two.
    @Test(arguments: [(20, false), (22, true), (0, true)]) func aLowerPriorityThatIsNotServedInTimeIsFound(
        every: Int, isFound: Bool
    ) {
        var shop = Shop(weights: [1, 1], priorities: [1, 0])
        for client in 0..<2 { for _ in 0..<4 { shop.submit(client) } }
        for turn in 1...200 {
            let client = every > 0 && turn.isMultiple(of: every) ? 1 : 0
            shop.lease(client)
            shop.submit(client)
            shop.finish(cost: 100_000)
        }
        #expect((shop.checker.violation?.hasPrefix("starved") == true) == isFound)
    }

    /// Nothing is said of a client that has nothing waiting.
    @Test func whoDoesNotWaitIsNotLate() {
        var shop = Shop(weights: [1, 1])
        for _ in 0..<60 {
            shop.submit(0)
            shop.lease(0)
            shop.finish(cost: 3_000_000)
        }
        #expect(shop.checker.violation == nil && shop.checker.comparisons == 0)
    }
}

import Foundation
import Testing
import Wire

@testable import Exchange

/// Every way out of every state, said once and said again, before and after a restart.
@Suite struct BrokerEndTests {
    enum Way: CaseIterable {
        case cancel, expiry, acknowledgement
    }

    private static let job: JobID = identifier(1)
    private static let key = JobKey(client: identifier(1), job: job)
    private static let lifetime: Int64 = 3_600_000

    /// A broker with one job, in this state.
    private func bench(in state: JobReport.State) -> (BrokerBench, BrokerBench.Peer, Envelope) {
        var configuration = Fixture.configuration
        configuration.crashesAllowed = 1
        var bench = BrokerBench(configuration)
        var client = bench.client(1)
        let envelope = bench.submit(1, lifetime: Self.lifetime, as: &client)
        if state != .queued {
            var worker = bench.worker(1)
            let ref = bench.leased[0].job
            switch state {
            case .delayed: bench.nack(ref, .busy, as: &worker)
            case .inMailbox: bench.finish(ref, as: &worker)
            case .deadLetter:
                bench.nack(ref, .outOfMemory, as: &worker)
                bench.wait(2 * .second)
                bench.nack(bench.leased[0].job, .internal, as: &worker)
            default: break
            }
        }
        #expect(bench.core.standing(of: Self.key)?.state == state)
        return (bench, client, envelope)
    }

    static let states: [JobReport.State] = [.queued, .delayed, .leased, .inMailbox, .deadLetter]

    @Test(arguments: states, Way.allCases)
    func theEndIsOneAndStays(state: JobReport.State, way: Way) {
        // The operator decides on a dead letter: see below.
        if state == .deadLetter, way == .expiry { return }
        var (bench, client, envelope) = bench(in: state)
        let before = bench.journal.count
        let end: JobReport.State
        switch way {
        case .cancel:
            bench.cancel(Self.job, as: &client)
            #expect(bench.ended == [.cancelled])
            end = .cancelled
        case .expiry:
            bench.now += (Self.lifetime + 1) * .millisecond
            bench.take(bench.core.tick(at: bench.moment))
            client = bench.client(1)
            end = .expired
        case .acknowledgement:
            bench.acknowledge(Self.job, as: &client)
            #expect(bench.has(isAckStored))
            end = .acknowledged
        }
        if state == .leased, way != .expiry { #expect(bench.cancelled.count == 1, "its worker is told") }
        #expect(bench.journal.count == before + 1, "one entry says it")
        #expect(bench.core.standing(of: Self.key)?.state == end)
        #expect(bench.core.snapshot.jobs == 0 && bench.core.snapshot.bytes == 0)
        check(&bench, &client, envelope, end)

        var second = BrokerBench(epoch: 2, recovered: bench.journal)
        second.now = bench.now
        var returned = second.client(1)
        #expect(second.results.isEmpty)
        check(&second, &returned, envelope, end)
        _ = second.worker(1)
        #expect(second.leased.isEmpty)
    }

    /// Whatever is said again gets the same answer and changes nothing.
    private func check(
        _ bench: inout BrokerBench, _ client: inout BrokerBench.Peer, _ envelope: Envelope, _ end: JobReport.State
    ) {
        let entries = bench.journal.count
        for _ in 0..<2 {
            func answered() -> Bool {
                switch end {
                case .acknowledged: bench.has(isAckStored)
                case .expired: bench.ended == [.expired]
                default: bench.ended == [.cancelled]
                }
            }
            bench.submit(envelope, as: &client)
            #expect(answered())
            bench.fetch(Self.job, as: &client)
            #expect(answered())
            bench.cancel(Self.job, as: &client)
            #expect(answered())
            bench.acknowledge(Self.job, as: &client)
            #expect(bench.has(isAckStored))
        }
        #expect(bench.journal.count == entries)
    }

    /// While it lives, too.
    @Test(arguments: states) func whatIsSaidAgainChangesNothing(state: JobReport.State) {
        var (bench, client, envelope) = bench(in: state)
        let entries = bench.journal.count
        for _ in 0..<3 {
            bench.submit(envelope, as: &client)
            #expect(state == .deadLetter ? bench.ended == [.deadLetter] : bench.has(isAccepted))
            bench.fetch(Self.job, as: &client)
            #expect(state == .deadLetter ? bench.ended == [.deadLetter] : bench.sent.isEmpty)
        }
        #expect(bench.journal.count == entries && bench.core.standing(of: Self.key)?.state == state)
        // A result comes once a session, and in the next again.
        client = bench.client(1)
        #expect(bench.results == (state == .inMailbox ? [Self.job] : []))
    }

    @Test("a dead letter can be retried after a restart, and is not leased before")
    func deadLettersOutliveTheBroker() {
        let (bench, _, _) = bench(in: .deadLetter)
        var second = BrokerBench(epoch: 2, recovered: bench.journal)
        var worker = second.worker(1)
        #expect(second.leased.isEmpty && second.deadLetters == [Self.key])
        second.take(second.core.retry(Self.key, at: second.moment) ?? [])
        #expect(second.leased.first?.job.fence.attempt == 3)
        var third = BrokerBench(epoch: 3, recovered: second.journal)
        #expect(third.deadLetters.isEmpty)
        second.finish(second.leased[0].job, as: &worker)
        _ = second.client(1)
        #expect(second.results == [Self.job])
        _ = third.client(1)
        #expect(third.core.standing(of: Self.key)?.state == .delayed, "its worker may come back")
    }

    @Test("a dead letter waits for the operator past its expiry, over a restart too; then it can only be dropped")
    func deadLettersDoNotExpire() {
        var (bench, _, _) = bench(in: .deadLetter)
        bench.wait((2 * Self.lifetime) * .millisecond)
        #expect(bench.deadLetters == [Self.key])
        var second = BrokerBench(epoch: 2, recovered: bench.journal)
        second.now = bench.now
        var client = second.client(1)
        #expect(second.deadLetters == [Self.key])
        second.fetch(Self.job, as: &client)
        #expect(second.ended == [.deadLetter])
        second.take(second.core.retry(Self.key, at: second.moment) ?? [])
        #expect(second.ended == [.expired] && second.core.snapshot.jobs == 0)
        // Its client may seal it anew once it has expired, and not before.
        for lateness: Int64 in [-1_000, 1_000] {
            var other = BrokerBench(epoch: 2, recovered: bench.journal)
            other.wait((Self.lifetime + lateness) * .millisecond)
            var owner = other.client(1)
            other.submit(
                Fixture.envelope(
                    client: Self.key.client, job: Self.job, generation: 1, expires: other.moment.wall + 3_600_000),
                as: &owner)
            #expect(other.has(isAccepted) == (lateness > 0))
            #expect(other.deadLetters.isEmpty == (lateness > 0))
        }
        // As `collafuse jobs retry` does it, which only writes the journal.
        let retried = bench.journal + [bench.journal[0]]
        var third = BrokerBench(epoch: 2, recovered: retried)
        third.now = bench.now
        _ = third.client(1)
        #expect(third.core.snapshot.jobs == 0 && third.core.snapshot.counters.expired == 1)
    }

    @Test("a crash counts for the job alone that is at fault, whatever it shared its workers with", arguments: 0..<12)
    func theDeadLettersAreThePoison(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var bench = BrokerBench()
        var clients = [bench.client(1), bench.client(2)]
        var poison: Set<JobKey> = [], jobs: Set<JobKey> = []
        for number in 0..<20 {
            let place = number % 2
            let key = bench.submit(number, as: &clients[place]).key
            jobs.insert(key)
            if random.chance(0.2) { poison.insert(key) }
        }
        var running: [[WireJobRef]] = [[], []]
        var workers = [bench.worker(1, slots: 4)]
        running[0] = bench.leased.map(\.job)
        workers.append(bench.worker(2, slots: 4))
        running[1] = bench.leased.map(\.job)
        func key(_ ref: WireJobRef) -> JobKey { JobKey(client: ClientID(ref.clientID)!, job: JobID(ref.jobID)!) }
        var done: Set<JobKey> = [], beats: UInt64 = 0
        for _ in 0..<2_000 where done.count + bench.deadLetters.count < jobs.count {
            func gather() {
                for sent in bench.sent {
                    guard case .job(let job) = sent.body else { continue }
                    let place = workers.firstIndex { $0.connection == sent.to }!
                    #expect(!job.alone || running[place].isEmpty)
                    running[place].append(job.job)
                }
            }
            let place = random.below(2)
            if running[place].contains(where: { poison.contains(key($0)) }) {
                running[place] = []
                workers[place] = bench.worker(1 + place, slots: 4)
                gather()
            } else if let index = running[place].indices.randomElement(using: &random) {
                let ref = running[place].remove(at: index)
                bench.finish(ref, as: &workers[place])
                done.insert(key(ref))
                gather()
            }
            bench.wait(500 * .millisecond)
            gather()
            beats += 1
            for place in 0..<2 {
                bench.beat(beats, as: &workers[place])
                gather()
            }
        }
        #expect(Set(bench.deadLetters) == poison && done == jobs.subtracting(poison))
    }
}

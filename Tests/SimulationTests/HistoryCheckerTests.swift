import Exchange
import Testing
import Wire

@testable import Simulation

/// The checker objects to each thing that may not happen, and to nothing else.
@Suite struct HistoryCheckerTests {
    private let key = JobKey(client: identifier(1), job: identifier(2))
    private let first = Fence(broker: Deployment.broker(0), bootEpoch: 1, attempt: 1)

    private func checker() -> HistoryChecker { HistoryChecker(crashesAllowed: 3) }

    private var accepted: JournalEntry {
        let envelope = Envelope(
            client: key.client, job: key.job, kind: .denoise, run: Deployment.run, created: 0, expires: 1_000,
            poolKey: Deployment.denoiseKey, clientEphemeralKey: [UInt8](repeating: 1, count: 32))
        let order = Order(image: nil, noise: 0, steps: 3, isPoison: false)
        return .accepted(key, envelope: envelope.bytes, sealed: order.bytes(padding: 0))
    }

    private func finished(_ fence: Fence, by computed: Fence? = nil) -> JournalEntry {
        let header = ResultHeader(
            client: key.client, job: key.job, envelopeHash: identifier(0), fence: fence, status: .done,
            worker: identifier(5))
        return .finished(
            key, header: header.bytes, sealed: Answer(key: key, generation: 0, fence: computed ?? fence).bytes,
            keptUntil: 1_000)
    }

    private func violations(_ entries: [JournalEntry], wall: Int64 = 0, surfaced: Bool = false) -> [String] {
        var checker = checker()
        if surfaced { checker.surfaced(key) }
        for entry in entries { checker.stored(entry, at: Deployment.broker(0), epoch: 1, wall: wall) }
        checker.batchIsStored()
        return checker.violations
    }

    @Test func aSoundLifeHolds() {
        let life = [
            accepted, .attempted(key, attempt: 1, epoch: 1), finished(first), .acknowledged(key), .forgotten(key),
        ]
        #expect(violations(life, surfaced: true).isEmpty)
        #expect(violations([accepted, .ended(key, code: .expired)], wall: 1_000).isEmpty)
    }

    /// What a broker says before it is true.
    @Test func whatIsSaidTooEarlyIsNamed() {
        let broker = Deployment.broker(0)
        func violations(after entries: [JournalEntry], _ saying: (inout HistoryChecker) -> Void) -> Int {
            var checker = checker()
            checker.surfaced(key)
            for entry in entries { checker.stored(entry, at: broker, epoch: 1, wall: 0) }
            saying(&checker)
            return checker.violations.count
        }
        let leased = [accepted, .attempted(key, attempt: 1, epoch: 1)], done = leased + [finished(first)]
        #expect(violations(after: []) { $0.promised(key, by: broker) } == 1)
        #expect(violations(after: [accepted]) { $0.promised(key, by: broker) } == 0)
        #expect(violations(after: []) { $0.confirmed(key, first, by: broker) } == 1)
        #expect(violations(after: leased) { $0.confirmed(key, first, by: broker) } == 1)
        #expect(violations(after: done) { $0.confirmed(key, first, by: broker) } == 0)
        #expect(violations(after: done) { $0.settled(key, by: broker) } == 1)
        #expect(violations(after: done + [.acknowledged(key)]) { $0.settled(key, by: broker) } == 0)
        // Of a job that it does not know there is nothing to store.
        #expect(violations(after: []) { $0.settled(key, by: broker) } == 0)
    }

    @Test func whatIsWrongIsNamed() {
        let second = Fence(broker: Deployment.broker(0), bootEpoch: 1, attempt: 2)
        let leased: [JournalEntry] = [
            accepted, .attempted(key, attempt: 1, epoch: 1), .attempted(key, attempt: 2, epoch: 1),
        ]
        #expect(violations([accepted, accepted]).count == 1)
        #expect(violations([.attempted(key, attempt: 1, epoch: 1)]).count == 1)
        #expect(violations(leased + [finished(first)]).count == 1)
        #expect(violations(leased + [finished(second, by: first)]).count == 1)
        #expect(violations(leased + [finished(second), finished(second)]).count == 1)
        #expect(violations([accepted, .ended(key, code: .expired)], wall: 999).count == 1)
        #expect(violations([accepted, .ended(key, code: .cancelled)]).count == 1)
        #expect(violations([accepted, .ended(key, code: .deadLetter)]).count == 1)
        #expect(violations(leased + [finished(second), .acknowledged(key)]).count == 1)
        #expect(violations([accepted, .forgotten(key)]).count == 1)
    }

    /// A job may end unfinished by what is stored, once its result was surfaced; before, never.
    @Test func aJobEndsUnfinished() {
        #expect(violations([accepted, .acknowledged(key)], surfaced: true).isEmpty)
        #expect(violations([accepted, .acknowledged(key)]).count == 1)
    }

    @Test func onceIsOnce() {
        var checker = checker()
        checker.promised(key, by: Deployment.broker(0))
        #expect(checker.violations.count == 1)
        checker.surfaced(key)
        checker.surfaced(key)
        #expect(checker.violations.count == 2)
        let image = IngestCore.Key(client: key.client, publication: identifier(1))
        checker.released(image, noise: 7)
        checker.released(image, noise: 7)
        #expect(checker.violations.count == 2)
        checker.released(image, noise: 8)
        #expect(checker.violations.count == 3)
    }

    /// One job that waits, one result, one memory: whatever is counted otherwise is named.
    @Test func whatIsHeldIsReckoned() {
        var checker = checker()
        let broker = Deployment.broker(0)
        var held = BrokerHoldings()
        func store(_ number: Int, _ then: (JobKey) -> [JournalEntry]) -> Int {
            let key = JobKey(client: identifier(1), job: identifier(number))
            let envelope = Envelope(
                client: key.client, job: key.job, kind: .denoise, run: Deployment.run, created: 0, expires: 1_000,
                poolKey: Deployment.denoiseKey, clientEphemeralKey: [UInt8](repeating: 1, count: 32)
            ).bytes
            let sealed = Order(image: nil, noise: 0, steps: 3, isPoison: false).bytes(padding: number)
            checker.cancelIsAsked(key)
            for entry in [.accepted(key, envelope: envelope, sealed: sealed)] + then(key) {
                checker.stored(entry, at: broker, epoch: 1, wall: 0)
            }
            return envelope.count
        }
        let envelope = store(1) { _ in [] }
        _ = store(2) { key in
            let header = ResultHeader(
                client: key.client, job: key.job, envelopeHash: identifier(0), fence: first, status: .done,
                worker: identifier(5)
            ).bytes
            let sealed = Answer(key: key, generation: 0, fence: first).bytes
            held.payloads = 2 * envelope + 15 + 1 + header.count + sealed.count
            held.countedResults = envelope + header.count + sealed.count + 512
            return [
                .attempted(key, attempt: 1, epoch: 1),
                .finished(key, header: header, sealed: sealed, keptUntil: 1_000),
            ]
        }
        _ = store(3) { [.ended($0, code: .cancelled)] }
        held.jobs = 2
        held.countedJobs = 2
        held.checkpoints = 40
        held.countedBytes = held.payloads + 40 + 2 * 512
        held.tombstones = 1
        held.countedTombstones = 1
        func violations(_ change: (inout BrokerHoldings) -> Void) -> Int {
            var checker = checker, held = held
            change(&held)
            checker.audit(held, at: broker)
            return checker.violations.count
        }
        #expect(violations { _ in } == 0)
        let counts: [WritableKeyPath<BrokerHoldings, Int>] = [
            \.jobs, \.payloads, \.checkpoints, \.tombstones, \.countedJobs, \.countedBytes,
            \.countedResults, \.countedTombstones,
        ]
        for count in counts { #expect(violations { $0[keyPath: count] += 1 } == 1) }
    }

    @Test func whatIsHeldIsWithinTheLimits() {
        var limits = Limits()
        limits.jobs = 2
        limits.bytes = 100
        limits.resultBytes = 50
        limits.checkpointBytes = 10
        limits.remembered = 4
        func violations(_ change: (inout BrokerHoldings) -> Void) -> Int {
            var checker = checker(), held = BrokerHoldings()
            change(&held)
            checker.audit(held, limits: limits)
            return checker.violations.count
        }
        #expect(
            violations {
                $0.jobs = 2; $0.countedBytes = 150; $0.countedResults = 50; $0.checkpoints = 10
            } == 0)
        #expect(violations { $0.jobs = 3 } == 1)
        #expect(violations { $0.countedBytes = 101 } == 1)
        #expect(
            violations {
                $0.countedBytes = 51; $0.countedResults = 51
            } == 1)
        #expect(violations { $0.checkpoints = 11 } == 1)
        #expect(
            violations {
                $0.jobs = 1; $0.tombstones = 3
            } == 0)
        #expect(
            violations {
                $0.jobs = 2; $0.tombstones = 3
            } == 2, "too many, and more bytes than as many as there may be come to")
        #expect(violations { $0.payloads = 4_000 } == 1)
    }

    @Test func anAcceptedJobIsSomewhere() {
        var checker = checker()
        checker.stored(accepted, at: Deployment.broker(0), epoch: 1, wall: 0)
        checker.audit([], at: Deployment.broker(0)) { _ in nil }
        #expect(checker.violations.count == 1)
        checker.settled { _ in false }
        #expect(checker.violations.count == 2)
    }
}

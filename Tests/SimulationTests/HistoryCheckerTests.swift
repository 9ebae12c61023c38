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

    /// Of a job that two brokers have, one copy ends unfinished when the other's result was surfaced; of one alone, never.
    @Test func aCopyEndsUnfinished() {
        for copies in [[0], [0, 1]] {
            var checker = checker()
            for place in copies { checker.stored(accepted, at: Deployment.broker(place), epoch: 1, wall: 0) }
            checker.surfaced(key)
            checker.stored(.acknowledged(key), at: Deployment.broker(0), epoch: 1, wall: 0)
            #expect(checker.violations.count == 2 - copies.count)
        }
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

    @Test func anAcceptedJobIsSomewhere() {
        var checker = checker()
        checker.stored(accepted, at: Deployment.broker(0), epoch: 1, wall: 0)
        checker.audit([], at: Deployment.broker(0)) { _ in nil }
        #expect(checker.violations.count == 1)
        checker.settled { _ in false }
        #expect(checker.violations.count == 2)
    }
}

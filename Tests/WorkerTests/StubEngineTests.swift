import Foundation
import Safetensors
import Testing
import Wire

@testable import Exchange
@testable import Workbench

/// The stub engine: what it answers, and when.
struct StubEngineTests {
    private func engine(_ scene: Scene, milliseconds: UInt64 = 0, slots: Int = 4) throws -> StubEngine {
        StubEngine(desk: try scene.desk(), run: scene.run, service: milliseconds * 1_000_000, slots: slots)
    }

    @Test func samplesAreToldByTheRequestAlone() throws {
        let scene = try Scene()
        let engine = try engine(scene)
        let payload = try WirePayload.denoise([0, 1, 2], seed: 7, first: 3)
        let jobs = [try scene.send(payload), try scene.send(payload)]
        for job in jobs { engine.orders.put(.job(job.assignment())) }
        let commands = try engine.work(answers: 2)
        let expected = StubAnswer.samples(payload.denoiseRequest, start: Data(), values: 16)
        #expect(expected.count == 48)
        for job in jobs { #expect(try scene.samples(of: job, in: commands) == expected) }
    }

    /// Whatever a sample depends on changes it, and nothing else does: the second of two is the first of the next.
    @Test func everySampleHasItsOwnStream() throws {
        let pair = try WirePayload.denoise([1, 1], seed: 7, first: 3).denoiseRequest
        let next = try WirePayload.denoise([1], seed: 7, first: 4).denoiseRequest
        let both = StubAnswer.samples(pair, start: Data(), values: 16)
        #expect(Array(both[16...]) == StubAnswer.samples(next, start: Data(), values: 16))
        #expect(both.allSatisfy { (-1..<1).contains($0) })
        #expect(Set(both).count == 32)
        var other = next
        for change: (inout WireDenoiseRequest) -> Void in [
            { $0.seed += 1 }, { $0.label = [0] }, { $0.cut += 1 }, { $0.firstSample += 1 },
        ] {
            other = next
            change(&other)
            #expect(
                StubAnswer.samples(other, start: Data(), values: 16)
                    != StubAnswer.samples(next, start: Data(), values: 16))
        }
        #expect(
            StubAnswer.samples(next, start: Data([1]), values: 16)
                != StubAnswer.samples(next, start: Data(), values: 16))
    }

    @Test func receiptsNameTheBytesThatWereSent() throws {
        let scene = try Scene()
        let engine = try engine(scene)
        let payload = try WirePayload.publication([1, 2])
        let job = try scene.send(payload)
        engine.orders.put(.job(job.assignment()))
        let receipt = try scene.answer(to: job, in: engine.work(answers: 1)).publishReceipt
        let order = try PublishOrder(payload, run: scene.run)
        #expect(receipt.publicationID == payload.publishRequest.publicationID)
        #expect(receipt.storedHash == order.publications.map { Data($0.receipt.bytes) })
    }

    @Test func badRequestsAreRefusedInWords() throws {
        let scene = try Scene()
        let engine = try engine(scene)
        let bad = [
            try scene.send(.denoise([3])), try scene.send(.publication([1], cut: 100)),
            try scene.send(.denoise(Array(repeating: 0, count: 1025))),
        ]
        for job in bad { engine.orders.put(.job(job.assignment())) }
        let commands = try engine.work(answers: bad.count)
        for job in bad {
            let failure = try scene.answer(to: job, in: commands).jobFailure
            #expect(failure.code == .badRequest)
            #expect(!failure.message.isEmpty)
        }
    }

    /// Four jobs, two at a time: the third and fourth wait for a whole service time, and no job takes less than one.
    @Test func jobsBeyondTheSlotsWait() throws {
        let scene = try Scene()
        let engine = try engine(scene, milliseconds: 40, slots: 2)
        let jobs = try (0..<4).map { _ in try scene.send(.denoise()) }
        for job in jobs { engine.orders.put(.job(job.assignment())) }
        let commands = try engine.work(answers: 4)
        let times = try jobs.map { try #require(StubAnswer.times(scene.answer(to: $0, in: commands))) }
        #expect(times.allSatisfy { $0.served >= 40_000 })
        #expect(times[2].waited >= 35_000 && times[3].waited >= 35_000)
    }

    @Test func whatIsNotDoneIsHandedBack() throws {
        let scene = try Scene()
        let engine = try engine(scene, milliseconds: 60_000)
        let kept = try scene.send(.denoise()), cancelled = try scene.send(.denoise())
        for job in [kept, cancelled] { engine.orders.put(.job(job.assignment())) }
        engine.orders.put(.cancel(cancelled.envelope.key, cancelled.fence))
        engine.orders.put(.stop)
        let answers = try engine.work(answers: 9).filter(\.isAnswer)
        guard answers.count == 1, case .nack(kept.envelope.key, kept.fence, .draining, _, _) = answers[0] else {
            Issue.record("\(answers.count) answers")
            return
        }
    }

    @Test func whatCostsMoreThanAdmittedIsRefused() throws {
        let scene = try Scene()
        let engine = try engine(scene, milliseconds: 2)
        let job = try scene.send(.denoise(), ceiling: 1_000)
        engine.orders.put(.job(job.assignment()))
        let failure = try scene.answer(to: job, in: engine.work(answers: 1)).jobFailure
        #expect(failure.code == .overCeiling)
    }
}

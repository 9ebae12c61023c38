import Testing
import Torch

@testable import Evaluation

@Suite struct DisclosureTests {
    /// The design's figures for the cosine schedule: at cut 200 label accuracy .93 and re-identification .99, at 500
    /// .69 and .38. This attacker has a better classifier (.98 on clean digits against .95) and so reads .97 and .77;
    /// re-identification needs no training and agrees.
    @Test(arguments: [(200, 0.93, 0.99), (500, 0.69, 0.38)])
    func digitsGiveAwayWhatTheDesignSays(_ cut: Int, _ accuracy: Double, _ reidentification: Double) throws {
        let digits = try Digits()
        let signal = cosineSignal(cut)
        let x = digits.all.mapImages { masked($0, signal: signal, seed: 5) }
        let attack = try Disclosure.labelAccuracy(
            masked: x.selecting(digits.heldOutRows), attacker: digits.training, signal: signal, seed: 1)
        #expect(attack > accuracy && attack < accuracy + 0.12)
        let found = try Disclosure.reidentification(
            masked: x.images, originals: Array(0..<x.count), candidates: digits.all.images, signal: signal)
        #expect(abs(found - reidentification) < 0.03)
    }

    /// Two masks at ᾱ = .2 and one at ᾱ = .5: ratios .25, .25 and 1 add up to 1.5, so ᾱ = .6. By hand, one value: the weights
    /// √.2/.8 and √.5/.5 over √(1.5·2.5).
    @Test func masksOfAnImageCountByTheirRatio() throws {
        func one(_ value: Float) -> Tensor { Tensor([value], shape: [1, 1, 1, 1]) }
        let (x, signal) = try Disclosure.combined([(one(1), 0.2), (one(-3), 0.2), (one(0.5), 0.5)])
        #expect(abs(signal - 0.6) < 1e-12)
        let expected = ((1 - 3) * 0.2.squareRoot() / 0.8 + 0.5 * 0.5.squareRoot() / 0.5) / (1.5 * 2.5).squareRoot()
        #expect(abs(Double(x.floats[0]) - expected) < 1e-6)
        let single = try Disclosure.combined([(one(0.7), 0.3)])
        #expect(abs(single.x.floats[0] - 0.7) < 1e-6 && abs(single.signal - 0.3) < 1e-12)
        for wrong in [[], [(one(1), 1.0)], [(one(1), 0.5), (Tensor.zeros([2, 1, 1, 1]), 0.5)]] {
            #expect(throws: EvaluationError.self) { try Disclosure.combined(wrong) }
        }
    }

    /// Eight masks at 700 find as many images as one mask at the cut where the ratio is eight times that, and many more than one of
    /// them does.
    @Test func manyMasksFindWhatOneAtTheEffectiveCutFinds() throws {
        let images = try Digits().all.images
        let rows = Array(0..<images.size(0)), signal = cosineSignal(700)
        let masks = (0..<8).map { (x: masked(images, signal: signal, seed: 20 + UInt64($0)), signal: signal) }
        func found(_ x: Tensor, _ signal: Double) throws -> Double {
            try Disclosure.reidentification(masked: x, originals: rows, candidates: images, signal: signal)
        }
        let together = try Disclosure.combined(masks)
        let ratio = 8 * signal / (1 - signal)
        #expect(abs(together.signal - ratio / (1 + ratio)) < 1e-9)
        let all = try found(together.x, together.signal)
        let single = try found(masked(images, signal: together.signal, seed: 99), together.signal)
        #expect(abs(all - single) < 0.04, "\(all) and \(single)")
        #expect(try found(masks[0].x, signal) < all - 0.3)
    }

    @Test func withoutNoiseEveryImageIsFoundAndInPureNoiseNone() throws {
        let images = try Digits().all.images[0..<600]
        let rows = Array(0..<600)
        #expect(try Disclosure.reidentification(masked: images, originals: rows, candidates: images, signal: 1) == 1)
        let noise = masked(images, signal: 1e-9, seed: 1)
        #expect(
            try Disclosure.reidentification(masked: noise, originals: rows, candidates: images, signal: 1e-9) < 0.02)
    }

    @Test func theWholeMeasureHoldsBothAttacks() throws {
        let digits = try Digits()
        let published = digits.training.selecting(Array(0..<100))
        let x = published.mapImages { masked($0, signal: 0.99, seed: 1) }
        let attacker = digits.heldOut.selecting(Array(0..<64))
        let both = try Disclosure.measure(
            masked: x, originals: Array(0..<100), candidates: published.images, attacker: attacker, signal: 0.99,
            seed: 1)
        #expect(both.reidentification == 1 && both.candidates == 100)
        #expect(both.labelAccuracy > 0.5 && both.labelChance < 0.2)
        #expect(
            try both.labelAccuracy == Disclosure.labelAccuracy(masked: x, attacker: attacker, signal: 0.99, seed: 1))
    }

    @Test(arguments: [0, -0.1, 1.1, Double.nan]) func signalsThatAreNone(_ signal: Double) throws {
        let images = Tensor.zeros([2, 1, 4, 4])
        let error = #expect(throws: EvaluationError.self) {
            try Disclosure.reidentification(masked: images, originals: [0, 1], candidates: images, signal: signal)
        }
        #expect(error?.code == .badSignal)
    }

    @Test(arguments: [[0], [0, 2], [-1, 0]]) func originalsThatAreNotThere(_ originals: [Int]) throws {
        let images = Tensor.zeros([2, 1, 4, 4])
        let error = #expect(throws: EvaluationError.self) {
            try Disclosure.reidentification(masked: images, originals: originals, candidates: images, signal: 0.5)
        }
        #expect(error?.code == .mismatch)
    }
}

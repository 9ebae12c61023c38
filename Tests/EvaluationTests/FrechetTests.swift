import Foundation
import Safetensors
import Testing
import Torch

@testable import Evaluation

@Suite struct FrechetTests {
    private func golden() throws -> SafetensorsArchive {
        try SafetensorsArchive(contentsOf: repository.appending(path: "Tests/Goldens/evaluation.safetensors"))
    }

    @Test func agreesWithSciPy() throws {
        let file = try golden()
        let (a, b) = try (
            FrechetSummary(features: Tensor(file.entry("a"))), FrechetSummary(features: Tensor(file.entry("b")))
        )
        let expected = try file.doubles("distance")[0]
        #expect(try abs(a.distance(to: b) - expected) < 1e-9 * expected)
        #expect(try abs(b.distance(to: a) - expected) < 1e-9 * expected)
        #expect(try a.distance(to: a) < 1e-9)
    }

    /// The figure of the design: 500 real digits against those held out, in the digits' own grey levels.
    @Test func realDigitsAgainstRealOnes() throws {
        let digits = try Digits()
        let file = try golden()
        let some = try FrechetSummary.pixels(digits.all.selecting(file.integers("rows")).images)
        let distance = try some.distance(to: .pixels(digits.heldOut.images))
        #expect(try abs(distance - file.doubles("digits")[0]) < 1e-3)
        #expect(abs(distance - 31) < 3)
    }

    /// Two one-dimensional Gaussians: (μ_a − μ_b)² + (σ_a − σ_b)².
    @Test func followsTheClosedForm() throws {
        let a = try FrechetSummary(features: Tensor([-1, 1] as [Float], shape: [2, 1]))
        let b = try FrechetSummary(features: Tensor([2, 8] as [Float], shape: [2, 1]))
        #expect(try abs(a.distance(to: b) - (25 + 2 * 4)) < 1e-9)
    }

    /// Fewer images than pixels: a covariance without full rank is no obstacle.
    @Test func twoImagesAreEnough() throws {
        let a = try FrechetSummary.pixels(Tensor([0, 1, 0, 1, 1, 1, 0, 0] as [Float], shape: [2, 1, 2, 2]))
        let b = try FrechetSummary.pixels(.zeros([2, 1, 2, 2]))
        // Means differ by (½, 1, 0, ½)·8; the variances, and with them the trace, are (½, 0, 0, ½)·64.
        #expect(try abs(a.distance(to: b) - (96 + 64)) < 1e-9)
    }

    @Test func whatDoesNotCompareIsRefused() throws {
        #expect(throws: EvaluationError.self) { try FrechetSummary(features: .zeros([1, 3])) }
        #expect(throws: EvaluationError.self) { try FrechetSummary(features: .zeros([3])) }
        #expect(throws: EvaluationError.self) {
            try FrechetSummary(features: Tensor([.nan, 1] as [Float], shape: [2, 1]))
        }
        let a = try FrechetSummary(features: .zeros([2, 3]))
        #expect(throws: EvaluationError.self) { try a.distance(to: FrechetSummary(features: .zeros([2, 4]))) }
    }
}

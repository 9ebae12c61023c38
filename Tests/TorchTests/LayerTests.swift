import Testing

@testable import Torch

@Suite struct LayerTests {
    /// PyTorch's start is uniform in ±1/√fan-in: its bounds, and its variance bound²/3.
    @Test func parametersStartAsInPyTorch() {
        var source = ParameterSource(seed: 1)
        let linear = Linear(100, 200, &source)
        let convolution = Conv2d(4, 100, kernel: 5, &source)
        for (tensor, bound) in [(linear.weight, 0.1), (convolution.weight, 0.1)] {
            let values = tensor.doubles
            #expect(values.allSatisfy { abs($0) < bound })
            let variance = values.reduce(0) { $0 + $1 * $1 } / Double(values.count)
            #expect(abs(variance / (bound * bound / 3) - 1) < 0.05)
        }
        #expect(linear.bias?.doubles.allSatisfy { abs($0) < 0.1 } == true)
        let table = Embedding(100, 100, &source).weight
        #expect(abs(table.variance().item - 1) < 0.06)
        #expect(GroupNorm(groups: 2, 4, &source).weight.floats == [1, 1, 1, 1])
    }

    @Test func theSameSeedGivesTheSameNetwork() {
        func weights(_ seed: UInt64) -> [[Float]] {
            var source = ParameterSource(seed: seed)
            return [Linear(3, 3, &source), Linear(3, 3, &source)].flatMap(\.parameters).map(\.floats)
        }
        #expect(weights(1) == weights(1))
        #expect(weights(1) != weights(2))
        #expect(weights(1)[0] != weights(1)[2], "two layers of one network differ")
    }

    @Test func layersKeepTheShapesTheyPromise() {
        var source = ParameterSource(seed: 1)
        let x = source.normal([2, 4, 8, 8])
        #expect(Conv2d(4, 6, kernel: 3, stride: 2, padding: 1, &source)(x).shape == [2, 6, 4, 4])
        #expect(GroupNorm(groups: 2, 4, &source)(x).shape == x.shape)
        #expect(LayerNorm(8, &source)(x).shape == x.shape)
        #expect(Linear(8, 3, bias: false, &source)(x).shape == [2, 4, 8, 3])
        #expect(Embedding(5, 7, &source)(Tensor([0, 4, 4])).shape == [3, 7])
    }

    /// Layer norm and group norm by their formula, on one row.
    @Test func normsFollowTheirFormula() {
        var source = ParameterSource(seed: 1)
        let x = Tensor([1, 2, 3, 6] as [Float], shape: [1, 4])
        let expected = [-2, -1, 0, 3].map { $0 / (3.5 + 1e-5).squareRoot() }
        #expect(difference(LayerNorm(4, &source)(x).doubles, expected) < 1e-6)
        #expect(difference(GroupNorm(groups: 1, 4, &source)(x).doubles, expected) < 1e-6)
    }
}

import Testing

@testable import Torch

@Suite struct AutogradTests {
    /// The derivative of a small network by central differences, in float64: an independent check of how the layers fit
    /// together.
    @Test func gradientsAgreeWithFiniteDifferences() throws {
        var source = ParameterSource(seed: 3, dtype: .float64)
        let convolution = Conv2d(2, 4, kernel: 3, padding: 1, &source)
        let norm = GroupNorm(groups: 2, 4, &source)
        let linear = Linear(4, 3, &source)
        let x = source.normal([2, 2, 4, 4])
        let labels = Tensor([0, 2])
        func loss() -> Tensor {
            let h = norm(convolution(x)).silu().averagePooled(4).flattened(1)
            return linear(h).crossEntropy(labels)
        }
        loss().backward()
        let step = 1e-5
        for parameter in [x] + convolution.parameters + norm.parameters + linear.parameters {
            let gradient = try #require(parameter.gradient).doubles
            let values = parameter.doubles
            for index in stride(from: 0, to: values.count, by: 1 + values.count / 7) {
                func shifted(_ amount: Double) -> Double {
                    var moved = values
                    moved[index] += amount
                    return withoutGradients {
                        parameter.copy(from: Tensor(doubles: moved, shape: parameter.shape))
                        return loss().item
                    }
                }
                let slope = (shifted(step) - shifted(-step)) / (2 * step)
                _ = shifted(0)
                #expect(abs(slope - gradient[index]) < 1e-8)
            }
        }
    }

    @Test func withoutGradientsRecordsNothingAndRestoresTheMode() {
        struct Stop: Error {}
        let w = Tensor([3] as [Float])
        w.requiresGradient = true
        #expect(withoutGradients { withoutGradients { w * w }.requiresGradient || (w * w).requiresGradient } == false)
        #expect(throws: Stop.self) { try withoutGradients { throw Stop() } }
        #expect((w * w).requiresGradient)
        #expect(w.detached().requiresGradient == false)
    }

    @Test func arcFreesTensorsAndTheirTape() {
        let before = Runtime.tensorBalance
        weak var middle: Tensor?
        do {
            let w = Tensor.ones([64, 64])
            w.requiresGradient = true
            let h = w.matmul(w)
            middle = h
            #expect(Runtime.tensorBalance == before + 2)
            h.silu().sum().backward()
            #expect(w.gradient != nil)
            // A view and pieces share storage but are tensors of their own, and go away as well.
            #expect(h.split([32, 32], 0).count == 2)
            _ = try? TorchError.catching { w.matmul(Tensor.ones([3, 3])) }
        }
        #expect(middle == nil)
        #expect(Runtime.tensorBalance == before)
    }
}
